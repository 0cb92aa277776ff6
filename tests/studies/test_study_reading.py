from __future__ import annotations

from pathlib import Path

import pytest
from studies_fakes import TINY

from nas.errors import ConfigError
from nas.strategies.evolution import Evolution
from nas.strategies.uniform import Uniform
from nas.studies.file.resolve import resolve
from nas.studies.file.settings import differences
from nas.studies.study import Study
from nas.training.rules.sandwich import Sandwich

ROOT = Path(__file__).parents[2]

WRONG = """
space:
  model: vit_tiny_patch16_224
  choices: {heads: {size: []}}
strategy: {use: evolutoin}
dta: {name: digits}
data: {name: digits, validation: 2}
limit: {mac: 50%}
objectives: {accuracy: up}
importance: magnitud
base: {epoch: 3, lr: fast}
supernet: {rule: {use: sandwich, randoms: 2}}
retrain: {loss: adjoind}
seed: -1
"""


def test_all_faults_of_a_study_are_reported_at_once_each_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    with pytest.raises(ConfigError) as caught:
        resolve(tmp_path / "wrong.yaml")
    found = {fault.key: fault for fault in caught.value.faults}
    places = {
        key: fault.where.removeprefix(f"{tmp_path}/wrong.yaml:").partition(":")[0] for key, fault in found.items()
    }
    assert places == {
        "space.choices.heads.size": "4", "strategy.use": "5", "dta": "6", "data.validation": "7", "limit.mac": "8",
        "objectives.accuracy": "9", "importance.use": "10", "base.epoch": "11", "base.lr": "11",
        "supernet.rule.randoms": "12", "retrain.loss": "13", "seed": "14",
    }  # fmt: skip
    for key, hint in {"dta": "data", "strategy.use": "evolution", "limit.mac": "macs", "base.epoch": "epochs",
                      "importance.use": "magnitude", "retrain.loss": "adjoined"}.items():  # fmt: skip
        assert f"did you mean '{hint}'?" in str(found[key])


def test_faults_of_the_files_that_a_study_names_are_reported_with_its_own(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("model: vit_tiny_patch16_224\nchoices:\n  heads: {size: [9]}\n")
    (tmp_path / "preset.yaml").write_text("use: evolution\npopulation: none\n")
    (tmp_path / "study.yaml").write_text(
        "space: space.yaml\nstrategy: preset.yaml\ndata: {name: digits}\nbase: {lr: -1}\n"
    )
    with pytest.raises(ConfigError) as caught:
        resolve(tmp_path / "study.yaml", ["seed=x"])
    places = [fault.where.removeprefix(f"{tmp_path}/") for fault in caught.value.faults]
    assert [place.partition(":")[0] for place in places] == ["preset.yaml", "space.yaml", "study.yaml", "--set seed"]


def test_a_study_of_the_repository_runs_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    monkeypatch.chdir(tmp_path)
    assert resolve(ROOT / "studies" / "digits.yaml").config.strategy_name == "nsga2"


def test_a_file_is_looked_up_from_the_working_directory_then_from_the_studys_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "study.yaml").write_text(TINY.replace("strategy: {use: evolution", "strategy: {use: preset.yaml"))
    (tmp_path / "a" / "preset.yaml").write_text("use: uniform\n")
    (tmp_path / "preset.yaml").write_text("use: evolution\ncrossover: 0.25\n")
    monkeypatch.chdir(tmp_path)
    found = resolve("a/study.yaml").strategy
    assert isinstance(found, Evolution)
    assert (found.crossover, found.population) == (0.25, 2)  # the preset's, under the study's own
    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"strategy.population: found an unknown key"):
        resolve("study.yaml")


def test_a_missing_file_names_the_key_and_where_it_was_looked_up() -> None:
    with pytest.raises(
        ConfigError, match=r"space: found 'nosuch.yaml', which does not exist; allowed: .*the study's folder and"
    ):
        resolve(TINY, ["space=nosuch.yaml"])


def test_options_of_a_preset_change_after_it_is_in_place(tmp_path: Path) -> None:
    preset = tmp_path / "greedy.yaml"
    preset.write_text("use: evolution\ntrials: 1000\nsample: 3\n")
    found = resolve(TINY, ["strategy.trials=50", f"strategy={preset}", "supernet.rule.random=5"])
    assert isinstance(found.strategy, Evolution)
    assert (found.strategy.trials, found.strategy.sample, found.config.strategy_name) == (50, 3, "greedy")
    assert found.rule == Sandwich(random=5)
    assert isinstance(resolve(TINY, ["strategy=uniform"]).strategy, Uniform)


def test_the_baselines_name_is_taken() -> None:
    with pytest.raises(ConfigError, match=r"strategy.name: found 'uniform'; allowed: text other than"):
        resolve(TINY, ["strategy.name=uniform"])


@pytest.mark.parametrize("setting", ["seed", "=3", ""])
def test_an_override_without_a_value_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"--set: found .* allowed: key=value"):
        resolve(TINY, [setting])


def test_the_data_decides_channels_classes_and_image_size() -> None:
    assert {"in_chans": 1, "num_classes": 10}.items() <= resolve(TINY).space.model_args.items()
    larger = resolve(TINY, ["data.image_size=16"])
    assert larger.space.model_args["img_size"] == 16


def test_missing_data_is_a_fault_at_its_key() -> None:
    overrides = ["data.name=null", "data.path=nosuch.npz", "data.train_images=null"]
    with pytest.raises(ConfigError, match=r"data: found data\.path: .*nosuch.npz does not exist") as caught:
        resolve(TINY, overrides)
    assert [fault.where for fault in caught.value.faults] == ["<text>:9:1"]


def test_limits_that_nothing_keeps_to_are_faults_at_their_keys(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(TINY.replace("limit: {macs: 70%}", "limit: {params: 1%, macs: 70%}"))
    with pytest.raises(ConfigError) as caught:
        resolve(tmp_path / "study.yaml", ["limit.macs=150%", "seed=-1"])
    found = {fault.key: (fault.where.rpartition("/")[2], fault.found) for fault in caught.value.faults}
    assert {key: where for key, (where, _) in found.items()} == {
        "limit.params": "study.yaml:10:9", "limit.macs": "--set limit.macs", "seed": "--set seed",
    }  # fmt: skip
    assert found["limit.params"][1].startswith("'1%' (no architecture has params <= ")
    assert "150%" in found["limit.macs"][1]


def test_bounds_that_exclude_each_other_are_one_fault() -> None:
    with pytest.raises(ConfigError, match=r"limit: found .*no architecture has macs .* and params "):
        resolve(TINY, ["limit={macs: [95%, null], params: 40%}"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed=9223372036854775807", "seed: found 9223372036854775807; allowed: a whole number from 0 to 2147483647"),
        ("seed=2147483648", "allowed: a whole number from 0 to 2147483647"),
        ("objectives={}", "objectives: found {}; allowed: at least one objective, such as {accuracy: max}"),
        ("limit.mac=50%", "limit.mac: found 'mac'; allowed: macs, flops, params; did you mean 'macs'?"),
        (
            "limit.macs=much",
            "limit.macs: found 'much'; allowed: a number, also with k, M, G or T, or per cent",
        ),
        ("limit.macs=[1 M, -2]", "limit.macs.1: found -2; allowed: a number, also with"),
        (
            "objectives={params: min, acuracy: max}",
            "objectives.acuracy: found 'acuracy'; allowed: accuracy, loss",
        ),
        ("latency.batches=[]", "latency.batches: found []; allowed: a list of batch sizes, such as [1, 64]"),
        (
            "latency.batches=[1, 1000000000000]",
            "latency.batches.1: found 1000000000000; allowed: a whole number from 1 to 16384",
        ),
        ("latency.batches=[0]", "latency.batches.0: found 0; allowed: a whole number from 1 to 16384"),
        ("latency.seconds=1.0e+9", "latency.seconds: found 1000000000.0; allowed: a number above 0, at most"),
        ("latency.seconds=.nan", "allowed: a number above 0, at most 3600"),
        ("store=sqlite://", "in memory, but a run continues from its trials; allowed: the URL of a file"),
        ("store=postgresql://me:s3cret@host:port/x", "me:***@host:port/x"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(TINY, [setting])
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("limit={macs: [1 M, -2], params: 40%}", "limit.macs.1"),
        ("limit={mac: 40%}", "limit.mac"),
        ("strategy={use: threshold, importance: {use: taylor, images: x}}", "strategy.importance.images"),
    ],
)
def test_what_cannot_be_read_is_told_once(setting: str, key: str) -> None:
    """Not again by what would use it: the limit, or the strategy that holds a plug-in."""
    with pytest.raises(ConfigError) as caught:
        resolve(TINY, [setting])
    assert [fault.key for fault in caught.value.faults] == [key]


def test_the_greatest_seed_is_allowed() -> None:
    assert resolve(TINY, ["seed=2147483647"]).config.seed == 2**31 - 1


def test_a_relative_store_is_looked_up_like_the_other_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "study.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    assert resolve("a/study.yaml", ["store=sqlite:///rel.db"]).config.store == f"sqlite:///{tmp_path}/rel.db"
    (tmp_path / "a" / "rel.db").touch()
    assert resolve("a/study.yaml", ["store=sqlite:///rel.db"]).config.store == f"sqlite:///{tmp_path}/a/rel.db"


def test_settings_that_differ_are_told_without_passwords() -> None:
    told = differences({"store": "mysql://me:s3cret@host/x"}, {"store": "mysql://me:s3cret2@host/x"})
    assert len(told) == 1
    assert "s3cret" not in told[0]


def test_an_unknown_model_is_a_fault_at_its_key() -> None:
    with pytest.raises(ConfigError, match=r"space.model: found 'vit_tyny'; .*no model 'vit_tyny'"):
        resolve(TINY, ["space.model=vit_tyny"])


def test_the_stored_settings_give_the_same_study(finished: Study) -> None:
    again = resolve(finished.folder.study_file)
    assert differences(again.settings, finished.resolved.settings) == []
    assert (again.config, again.strategy, again.rule) == (
        resolve(finished.folder.study_file).config, finished.resolved.strategy, finished.resolved.rule,
    )  # fmt: skip


def test_two_studies_of_the_repository_differ_in_their_data_only() -> None:
    digits, fashion = ((ROOT / "studies" / f"{name}.yaml").read_text() for name in ("digits", "fashion_mnist"))

    def body(text: str) -> list[str]:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        start = lines.index("data:")
        end = next(n for n in range(start + 1, len(lines)) if not lines[n].startswith(" "))
        return lines[:start] + lines[end:]

    assert body(digits) == body(fashion)
    assert len(body(digits)) > 5
