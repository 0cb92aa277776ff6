"""Combinations of a study's keys that nothing reads: refused, each at its own place; and numbers out of reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas import importance, search
from nas.documents.document import read
from nas.documents.lookup import Lookup
from nas.documents.ties import untied
from nas.errors import ConfigError
from nas.studies.file.amounts import idle_bounds
from nas.studies.file.config import StudyConfig
from nas.studies.file.presets import overridden
from nas.studies.file.resolve import resolve
from nas.studies.file.settings import differences
from nas.tasks.classification import Classification
from nas.training import Recipe

ROOT = Path(__file__).parents[2]
STUDY = """
space: searchspaces/vit_digits.yaml
strategy: uniform
data: {name: digits}
threads: 1
"""


def told(*settings: str) -> list[str]:
    document = overridden(read(STUDY), dict(text.split("=", 1) for text in settings), Lookup(ROOT))
    return [str(fault) for fault in (*untied(document, StudyConfig, set()), *idle_bounds(document))]


REFUSED = [
    (["retrain={loss: plain, small_ce: true}"], "retrain.small_ce: found true, which is not read with loss: plain; "
     "allowed: only with loss: adjoined"),
    (["retrain={loss: distilled, detach: true}"], "retrain.detach"),
    (["retrain={loss: plain, separate_norms: true}"], "retrain.separate_norms"),
    (["supernet={torchcompile: true}"], "supernet.torchcompile: found true, which nothing reads here"),
    (["retrain={torchcompile: true}"], "retrain.torchcompile"),
    (["base={clip: null, clip_mode: agc}"], "base.clip_mode: found 'agc', which is not read with clip: null"),
    (["base={lr_base_scale: sqrt}"], "base.lr_base_scale"),
    (["base={optimizer: {use: adamw, layer_decay_min_scale: 0.1}}"], "base.optimizer.layer_decay_min_scale"),
    (["retrain={weight: 0.7}"], "retrain.weight: found 0.7, which is not read with loss: adjoined"),
    (["retrain={temperature: 2}"], "retrain.temperature"),
    (["retrain={importance: ffn_votes}"], "retrain.importance"),
    (["retrain={epochs: 0, gradual: true}"], "which is not read with epochs: 0; allowed: only with epochs above 0"),
    (["base={epochs: 0, mixup: 0.2}"], "base.mixup"),
    (["supernet={epochs: 0, cutmix: 0.2}"], "supernet.cutmix"),
    (["base={epochs: 0, smoothing: 0.1}"], "base.smoothing"),
    (["base={epochs: 0, ema: 0.9}"], "base.ema"),
    (["base={epochs: 0, augment: crop}"], "base.augment"),
    (["supernet={epochs: 0, rule: uniform}"], "supernet.rule"),
    (["strategy={use: dan, training: {epochs: 0, mixup: 0.2}, gamma: 0.5}"], "strategy.training.mixup"),
    (["base={pretrained: true, checkpoint: a.pth}"], "base.pretrained: found true, which is not read with checkpoint"),
    (["supernet={drop_path: 0.1, epochs: 0}"], "supernet.drop_path"),
    (["limit={macs: 50%}", "supernet={within_limit: true, rule: {use: sandwich, sampling: fair}}"],
     "only with a sampling that keeps to a limit, such as uniform"),
    (["supernet={teacher: {model: base, checkpoint: a.pth}}"], "supernet.teacher.checkpoint: found 'a.pth', which is "
     "not read with model: base"),
    (["supernet={within_limit: true}"], "supernet.within_limit: found true, which is not read with limit"),
    (["baseline=20"], "baseline: found 20, which is not read with strategy: uniform"),
    (["warm_start=[runs/a]"], "allowed: only with a strategy that learns from earlier runs"),
    (["warm_start=[runs/a]", "strategy={use: halving, searcher: uniform}"], "warm_start"),
    (["strategy={use: evolution, sample: 60}"], "strategy.sample: found 60 of population: 50; allowed: at most 50"),
    (["strategy={use: dan, gamma: 0, target: 0.5}"], "strategy.target"),
    (["strategy={use: threshold, ranking: per_layer, normalise: true}"], "strategy.normalise"),
    (["strategy={use: threshold, importance: {use: ffn_votes, soft: true, spread: 2}}"], "strategy.importance.spread"),
    (["strategy={use: threshold, importance: [{use: directions, method: svd, images: 64}]}"], "importance.0.images"),
    (["importance={use: patch_impact, measure: random, images: 64}"], "importance.images"),
    (["importance={use: patch_impact, measure: attention, rollout: true}"], "importance.rollout"),
    (["strategy={use: tolerance, training: {augment: crop}}"], "training.augment: found 'crop', which nothing reads"),
    (["base={augment: deit, mixup: 0.2}"], "base.mixup: found 0.2, but augment.mixup is 0.8; allowed: the same; or "
     "augment.mixup alone"),
    (["base={augment: deit, cutmix: 0}"], "base.cutmix: found 0, but augment.cutmix is 1.0"),
    (["strategy={use: dan, training: {augment: light, mixup: 0.2}}"], "strategy.training.mixup: found 0.2, but"),
    (["base.augment={use: deit, re_prob: 0, re_count: 2}"], "base.augment.re_count: found 2, which is not read with "
     "re_prob: 0"),
    (["base.augment={use: deit, color_jitter: 0.3}"], "base.augment.color_jitter: found 0.3, which is not read with "
     "auto_augment: rand-m9-mstd0.5-inc1; allowed: only with auto_augment: none or auto_augment with 3a"),
    (["base.augment={use: swin, mixup: 0, mixup_switch_prob: 0.3}"], "base.augment.mixup_switch_prob: found 0.3"),
    (["ray={cpus: 2}"], "ray: found"),
    (["data.path=pictures"], "data.path: found 'pictures', which is not read with name: digits"),
    (["limit={macs: [0, null]}"], "limit.macs: found [0, null], which bounds nothing"),
    (["limit={params: [null, null]}"], "limit.params"),
    (["limit={flops: ['0 G', null]}"], "limit.flops"),
]  # fmt: skip
OPTUNA = [
    (["strategy={use: with_optuna, sampler: nsga2, startup: 5}"], "strategy.startup: found 5, which is not read with "
     "sampler: nsga2; allowed: only with sampler: tpe or gp"),
    (["strategy={use: with_optuna, sampler: {use: TPESampler}, startup: 5}"], "strategy.startup"),
    (["strategy={use: with_optuna, sampler: tpe, population: 5}"], "strategy.population"),
]  # fmt: skip
RAY = [
    (["strategy={use: with_raytune, rungs: 2}"], "strategy.rungs: found 2, which is not read with asha: false"),
    (
        ["strategy={use: with_raytune, mode: free, round: 5}"],
        "strategy.round: found 5, which is not read with mode",
    ),
    (["strategy={use: with_raytune, searcher: {use: evolution, sample: 60}}"], "strategy.searcher.sample"),
]
ACCEPTED = [
    ["retrain={loss: plain, torchcompile: true}"],
    ["supernet={epochs: 0, optimizer: sgd, schedule: {use: step, decay_epochs: 3}}"],
    ["retrain={loss: distilled, weight: 0.7}"],
    ["retrain={loss: plain, gradual: true, importance: ffn_votes}"],
    ["retrain={loss: plain, small_ce: false, detach: false}"],
    ["base={epochs: 0, lr: 0.1, warmup: 1, checkpoint: a.pth}"],
    ["supernet={epochs: 0, rule: {use: sandwich, random: 2}}"],
    ["supernet={within_limit: true}", "limit={macs: 50%}"],
    ["warm_start=[runs/a]", "strategy=evolution"],
    ["warm_start=[runs/a]", "strategy={use: halving, searcher: evolution}"],
    ["strategy={use: evolution, population: 5}"],
    ["ray={cpus: 2}", "supernet={workers: 2}"],
    ["data={name: CIFAR10, path: pictures}"],
    ["limit={macs: [1e6, null]}"],
    ["limit={macs: [0, 50%]}"],
    ["strategy={use: tolerance, training: {epochs: 2, steps: 10}}"],
    ["base={mixup: 0.8, cutmix: 1, augment: {use: deit, re_prob: 0, auto_augment: none, color_jitter: 0.3}}"],
    ["base={mixup: 0.2, augment: crop}", "supernet={augment: none}", "retrain.augment={use: light, mixup: 0.2}"],
]


@pytest.mark.parametrize(
    ("settings", "fault"), REFUSED, ids=lambda value: value if isinstance(value, str) else value[-1]
)
def test_what_nothing_reads_is_refused(settings: list[str], fault: str) -> None:
    faults = told(*settings)
    assert len(faults) == 1, faults
    assert fault in faults[0]


@pytest.mark.parametrize(("settings", "fault"), OPTUNA)
def test_what_no_sampler_reads_is_refused(settings: list[str], fault: str) -> None:
    pytest.importorskip("optuna")
    test_what_nothing_reads_is_refused(settings, fault)


@pytest.mark.parametrize(("settings", "fault"), RAY)
def test_what_no_mode_of_ray_reads_is_refused(settings: list[str], fault: str) -> None:
    pytest.importorskip("ray")
    test_what_nothing_reads_is_refused(settings, fault)


@pytest.mark.parametrize("settings", ACCEPTED, ids=lambda value: value[-1])
def test_what_is_read_is_accepted(settings: list[str]) -> None:
    assert told(*settings) == []


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        ("{optimizer: {use: adamw, bata: 1}}", "<text>:6:32: base.optimizer.bata: found an unknown key; allowed: "),
        ("{optimizer: adamx}", "base.optimizer.use: found 'adamx'; allowed: adabelief, "),
        ("{schedule: {use: cosine, decay_rate: 1}}", "<text>:6:32: base.schedule.decay_rate: found an unknown key"),
        ("{optimizer: {use: adamw, eps: -1}}", "base.optimizer: found {"),
    ],
)
def test_an_option_of_timm_is_refused_at_its_own_place(
    recipe: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError) as refusal:
        resolve(f"{STUDY}base: {recipe}\n")
    assert fault in str(refusal.value)
    assert len(refusal.value.faults) == 1


def test_a_study_is_refused_with_the_line_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=r"<text>:6:25: retrain.separate_norms: found true, .* loss: plain; "):
        resolve(STUDY + "retrain: {loss: plain,  separate_norms: true}\n")


def test_what_a_run_was_begun_with_is_not_questioned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions before this one let such runs begin; they are read, and go on."""
    monkeypatch.chdir(ROOT)
    text = STUDY + "retrain: {loss: plain, small_ce: true, epochs: 1}\nlimit: {macs: [0, null]}\n"
    assert resolve(text, finished=()).config.retrain.small_ce


def test_the_winner_of_a_gradual_retraining_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits' ViT has four blocks to cut, the last of which leaves the winner."""
    monkeypatch.chdir(ROOT)
    matrices = STUDY.replace("vit_digits.yaml", "vit_digits_matrices.yaml")
    fault = r"retrain.epochs: found 3, with gradual: true, which cuts 4 blocks, one per epoch; allowed: at least 4"
    with pytest.raises(ConfigError, match=fault):
        resolve(matrices + "retrain: {loss: plain, gradual: true, epochs: 3}\n")
    assert resolve(matrices + "retrain: {loss: plain, gradual: true, epochs: 4}\n").config.retrain.epochs == 4


@pytest.mark.parametrize("criterion", ["taylor", "{use: ffn_votes, shared: true}", "magnitude"])
def test_units_are_put_in_order_anew_by_criteria_that_see_no_later_block(
    criterion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    matrices = STUDY.replace("vit_digits.yaml", "vit_digits_matrices.yaml")
    with pytest.raises(ConfigError, match=r"retrain.importance: found .*; allowed: .*ffn_votes"):
        resolve(f"{matrices}retrain: {{loss: plain, gradual: true, importance: {criterion}}}\n")
    with pytest.raises(ConfigError, match=r"retrain.importance: found ffn_votes: the space chooses"):
        resolve(f"{STUDY}retrain: {{loss: plain, gradual: true, importance: {{use: ffn_votes}}}}\n".replace(
            "vit_digits.yaml", "vit_digits_tokens.yaml"))  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("base.lr=1e300", "found 1e+300; allowed: a number above 0, at most 1000"),
        ("base.lr=.nan", "allowed: a number above 0"),
        ("retrain.epochs=1000000000000", "allowed: a whole number from 0 to 1000000"),
        ("base.batch=0", "allowed: a whole number from 1 to 1000000"),
        ("base.warmup=-1", "allowed: a number from 0 to"),
        ("base.weight_decay=1e99", "allowed: a number from 0 to 1000"),
        ("base.workers=257", "allowed: a whole number from 1 to 256"),
        ("threads=1000000", "allowed: a whole number from 1 to 1024"),
        ("latency.batches=[1000000000000]", "allowed: a whole number from 1 to 16384"),
        ("latency.seconds=1e12", "allowed: a number above 0, at most 3600"),
        ("baseline=1000000000000", "allowed: a whole number from 0 to 1000000"),
        ("data.image_size=1000000", "allowed: a whole number from 1 to 4096"),
        ("strategy.trials=1000000000000", "allowed: a whole number from 1 to 1000000"),
        ("supernet.rule={use: uniform, random: 1000000}", "allowed: a whole number from 1 to 1000"),
        ("ray.cpus=1e300", "allowed: a number above 0, at most 4096"),
        ("space.model_args.depth=1000000", "'depth' is 1000000; allowed: sizes up to 256"),
        ("space.model_args.img_size=1000000000", "allowed: sizes up to 16777216"),
        ("space.model_args.embed_dim=1600000", "parameters; allowed: 1e+10"),
    ],
)
def test_numbers_out_of_reason_are_refused_before_anything_is_made_of_them(
    setting: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError) as refusal:
        resolve(STUDY, [setting])
    assert fault in str(refusal.value)


@pytest.mark.parametrize("folder", [importance, search])
def test_defaults_of_plug_ins_are_read_together(folder: object) -> None:
    """What a run's own study.yaml writes out must be accepted, whatever uses it."""
    names = importance.names() if folder is importance else sorted(search.installed())
    key = "importance" if folder is importance else "strategy"
    for name in names:
        assert told(f"{key}={{use: {name}}}", "data={name: digits}") == []


def test_how_latency_is_measured_may_change_while_a_run_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run that was begun with batches out of reason could never be finished."""
    monkeypatch.chdir(ROOT)
    before, after = (resolve(STUDY, settings).settings for settings in ((), ["latency.batches=[2]"]))
    assert differences({**before, "latency": {"batches": [10**12], "seconds": 1}}, after) == []
    assert differences({**before, "seed": 3}, after) == ["seed (there 3, now 0)"]


def test_a_recipe_of_python_is_the_callers_own_matter() -> None:
    assert Recipe(epochs=0, mixup=0.2).mixup == 0.2


def test_a_race_by_parts_wants_a_mean_over_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study = STUDY.replace("uniform", "racing")
    assert resolve(study).strategy.by_parts
    with pytest.raises(
        ConfigError, match=r"objectives.macs: found 'macs', which is no mean .* allowed: accuracy, loss$"
    ):
        resolve(study + "objectives: {macs: min}\n")


def test_rules_compare_outputs_only_where_targets_do_not_say_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Classification, "no_divergence", "there is none")
    study = STUDY + "retrain: {loss: plain}\n"
    for rule in ("sandwich", "adjoined", "{use: inplace, targets: 0.9}"):
        with pytest.raises(ConfigError, match=r"supernet.rule: .* of this task there is none; allowed: uniform, or"):
            resolve(f"{study}supernet: {{rule: {rule}}}\n")
    for rule in ("uniform", "{use: sandwich, targets: 1}", "{use: inplace, targets: 1}"):
        assert not resolve(f"{study}supernet: {{rule: {rule}}}\n").rule.compares
