"""The studies of the papers: read and shown without their data, counted as the papers count, and run, shrunken.

Three of them run with every test, all of them where NAS_PAPERS is set, as in `make studies`.
"""

from __future__ import annotations

import math
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from paper_rows import SIDT_ROWS
from paper_studies import FOLDER, SHRUNKEN, STUDIES, shrunken
from typer.testing import CliRunner

from benchmarks import patch_figures
from nas import Study
from nas.cli import app
from nas.errors import ConfigError
from nas.search import Objective, Problem
from nas.searchspaces import Architecture
from nas.searchspaces.axis_names import dimension, index, stage
from nas.strategies.dan import Dan
from nas.strategies.threshold import Threshold
from nas.studies.file.resolve import Resolved, resolve

NAMES = [path.stem for path in STUDIES]
OFTEN = ["dan_swin_base_imagenet100_to_imagenet", "patch_slimming_deit_tiny_imagenet", "vtp_svd_vit_cifar10"]
"""One of each kind: gradients on preferences, tokens of one block after another, a threshold on scores."""
THOUSAND = "space.model_args.num_classes=1000"


@cache
def study(name: str, *overrides: str) -> Resolved:
    return resolve(FOLDER / f"{name}.yaml", overrides, without_files=True)


def millions_and_billions(of: Resolved, sizes: dict[str, Any]) -> tuple[float, float]:
    return of.cost.of_sizes("params", sizes) / 1e6, of.cost.of_sizes("macs", sizes) / 1e9


def counts(of: Resolved, architecture: Architecture) -> tuple[float, float]:
    found = of.cost.counts(architecture)
    return found["params"] / 1e6, found["macs"] / 1e9


def near(params: float, macs: float, within: float = 5e-3) -> tuple[Any, Any]:
    return pytest.approx(params, abs=within), pytest.approx(macs, abs=within)


def problem(of: Resolved) -> Problem:
    objectives = (Objective("accuracy", maximise=True),)
    return Problem(space=of.space, objectives=objectives, strategy="threshold", seed=0, trials=1, limit=None)


def chosen(of: Resolved, **changed: Any) -> Architecture:
    """What the study's threshold leaves of units whose scores are drawn at random."""
    assert isinstance(of.strategy, Threshold)
    rng = np.random.default_rng(0)
    axes = [axis for axis in of.space.outline.axes if axis in of.space.axes]
    scores = {axis: np.sort(rng.random(of.space.outline.axes[axis]))[::-1] for axis in axes}
    threshold = Threshold(**{"ranking": of.strategy.ranking, "ratio": of.strategy.ratio, **changed})
    return threshold.size(problem(of), scores)


def cut(of: Resolved, architecture: Architecture) -> float:
    """The share of all units that is cut."""
    sizes, full = of.space.sizes(architecture), of.space.outline.axes
    return 1 - sum(sizes.values()) / sum(full[axis] for axis in sizes)


def test_all_studies_are_known_here() -> None:
    assert set(SHRUNKEN) == set(NAMES)
    assert len(NAMES) == 14


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_is_documented_and_shown_without_its_data(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    text = path.read_text(encoding="utf-8")
    head = text[: re.search(r"^[^#]", text, re.MULTILINE).start()]  # type: ignore[union-attr]
    for word in ("Paper:", "Reports:", "Exact:", "Differs:", "Command:"):
        assert f"# {word}" in head
    assert f"nas run studies/papers/{path.name}" in head
    assert max(map(len, text.splitlines())) <= 120
    shown = CliRunner().invoke(app, ["show", str(path)])
    assert shown.exit_code == 0, shown.output
    assert "data           not here (" in shown.output
    study(path.stem).check()


def test_a_study_does_not_run_without_its_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data: found data\.path: imagenet does not exist"):
        Study.from_yaml(FOLDER / "an_swin_base_imagenet.yaml", folder=tmp_path)
    with pytest.raises(
        ConfigError, match=r"base\.checkpoint: found '81\.5_T2T_ViT_14\.pth\.tar', which does not exist"
    ):
        Study.from_yaml(FOLDER / "dan_t2t_14.yaml", folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("sidt_swin_tiny_cifar100", 27.596, 4.491),
        ("sidt_deit_tiny_cifar100", 5.544, 1.254),
        ("mcf_deit_small_imagenet", 22.051, 4.599),
        ("vtp_deit_base_imagenet", 86.568, 17.564),
        ("patch_slimming_deit_tiny_imagenet", 5.717, 1.254),
        ("patch_slimming_deit_small_imagenet", 22.051, 4.599),
        ("patch_slimming_deit_base_imagenet", 86.568, 17.564),
        ("patch_slimming_t2t_14_imagenet", 21.546, 4.783),
        ("an_swin_base_imagenet", 87.768, 15.431),
    ],
)
def test_the_base_models_cost_what_the_papers_say(name: str, params: float, macs: float) -> None:
    assert millions_and_billions(study(name), {}) == near(params, macs, 1.5e-3)


@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("name", ["sidt_swin_tiny_cifar100", "sidt_deit_tiny_cifar100"])
def test_sidt_cuts_its_shares(name: str, ratio: float) -> None:
    """Over all units and, by the paper's text, in every layer: the space is fine enough."""
    of = study(name)
    assert cut(of, chosen(of, ratio=ratio)) == pytest.approx(ratio, abs=2e-3)
    sizes = of.space.sizes(chosen(of, ratio=ratio, ranking="per_layer"))
    for axis, size in sizes.items():
        assert size / of.space.outline.axes[axis] == pytest.approx(1 - ratio, abs=1 / 32)


@pytest.mark.parametrize(("early", "last", "params", "macs"), SIDT_ROWS)
def test_sidt_rows(early: float, last: float, params: float, macs: float) -> None:
    """The table's rows, by the shares of stages 1 to 3 and of stage 4 that follow from them, on the space's steps."""
    of = study("sidt_swin_tiny_cifar100")
    architecture = {}
    for name, choice in of.space.items():
        (axis,) = choice.axes
        kept = of.space.outline.axes[axis] * (1 - (last if stage(index(axis)) == "3" else early))
        nearest = min(range(len(choice.values)), key=lambda value: abs(choice.sizes[value][axis] - kept))
        architecture[name] = choice.values[nearest]
    assert counts(of, Architecture(architecture)) == (pytest.approx(params, rel=6e-3), pytest.approx(macs, rel=6e-3))


def test_mcf_rows() -> None:
    of = study("mcf_deit_small_imagenet")
    architecture = chosen(of)
    assert set(architecture.values()) == {0.6}
    assert counts(of, architecture) == near(14.67, 3.147)
    half = "space.choices.ffn_tokens={keep: [0.5], per: block}"
    for size, params, macs in (("small", 14.67, 2.48), ("tiny", 3.87, 0.724)):
        fed = study("mcf_deit_small_imagenet", f"space.model=deit_{size}_patch16_224", half)
        assert counts(fed, chosen(fed)) == near(params, macs), "the paper's table 2: 2.5 and 0.72 G"
    swin = study("mcf_deit_small_imagenet", "space.model=swin_base_patch4_window7_224", "strategy.ratio=0.31")
    assert counts(swin, chosen(swin)) == near(64.46, 11.313, 0.02)


def test_mcf_before_uniform_inputs() -> None:
    choices = "space.choices={fc1_in: {size: [0.6, 1.0]}, fc2_in: {size: [0.6, 1.0]}}"
    of = study("mcf_deit_small_imagenet", choices)
    assert counts(of, chosen(of)) == near(16.38, 3.48)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("sidt_swin_tiny_cifar100", ["strategy.importance.attention=channel", "strategy.ranking=per_layer"]),
        ("mcf_deit_small_imagenet", ["retrain.gradual=false", "retrain.importance=given",
                                     "strategy.importance=magnitude"]),
        ("mcf_deit_small_imagenet", ["retrain.gradual=false", "retrain.importance=given",
                                     "strategy.importance.critical=0.5", "strategy.importance.critical_by=top_class"]),
        ("vtp_svd_vit_cifar10", ["space.model_args.patch_size=8", "strategy.importance.1.method=qr_pivoted"]),
        ("vtp_svd_vit_cifar10", ["strategy.ratio={qkv_in: 0.3, proj_in: 0.3, fc1_in: 0.3, mlp: 0.3}"]),
        ("patch_slimming_deit_small_imagenet", ["space.choices.queries.drop=true", "strategy.tolerance=0.01"]),
        ("patch_slimming_deit_small_imagenet",
         ["strategy={use: threshold, ranking: per_layer, ratio: 0.47, importance: patch_impact}"]),
        ("an_swin_base_imagenet",
         ["space.choices={alpha: {divide: [heads, mlp, merging_in, head_in], by: [1, 2, 4], per: model}}"]),
        ("dan_swin_base_imagenet100_to_imagenet",
         ["limit.macs=6.96e9", "strategy.target=limit", "strategy.gamma=1", "strategy.arch_lr=2e-2"]),
        ("dan_t2t_14", ["strategy={use: an, alpha: 2}"]),
        ("dan_t2t_14", ["limit.macs=3.61e9", "strategy.target=limit", "strategy.gamma=1"]),
        ("an_swin_base_imagenet", ["baseline=100", "limit.macs=50%"]),
    ],
)  # fmt: skip
def test_the_variants_of_the_heads_are_studies(name: str, overrides: list[str]) -> None:
    study(name, *overrides).check()


def test_vtp_rows() -> None:
    """The same share everywhere, as the header says. The paper's rows lie between these and those where only what reads
    the hidden units is cut.
    """
    of = study("vtp_deit_base_imagenet")
    inputs = {dimension(axis) for axis in of.space.axes} - {"mlp"} | {"fc2_in"}
    for ratio, params, macs, most, printed in ((0.2, 64.7, 13.3, 69.6, 67.3), (0.4, 45.2, 9.4, 52.6, 48.0)):
        assert cut(of, chosen(of, ratio=ratio)) == pytest.approx(ratio, abs=1e-3)
        assert counts(of, chosen(of, ratio=ratio, ranking="per_layer")) == near(params, macs, 0.05)
        axes = of.cost.frame.axes
        reading = {axis: round((1 - ratio) * size) for axis, size in axes.items() if dimension(axis) in inputs}
        assert millions_and_billions(of, reading)[0] == pytest.approx(most, abs=0.05)
        assert params < printed < most


def test_matrices_of_vtp_are_factored_where_it_pays() -> None:
    of = study("vtp_svd_vit_cifar10")
    factored, gated = chosen(of), chosen(of, ratio=dict.fromkeys(("qkv_in", "proj_in", "fc1_in", "mlp"), 0.3))
    sizes = of.space.sizes(factored)
    for axis in of.space.axes:
        share = sizes[axis] / of.space.outline.axes[axis]
        assert share == pytest.approx(0.3 if dimension(axis).endswith("_rank") else 0.7, abs=0.2)
    assert {dimension(axis) for axis, size in of.space.sizes(gated).items() if size < of.space.outline.axes[axis]} == {
        *("qkv_in", "proj_in", "fc1_in", "mlp")
    }
    assert counts(of, factored)[0] < 0.75 * counts(of, gated)[0]
    # 6 blocks of width 512 with as many hidden units: by hand, 4 + 2 squares of weights each.
    assert millions_and_billions(of, {})[0] == pytest.approx(6 * 6 * 512**2 / 1e6, rel=0.01)


@pytest.mark.parametrize(("size", "macs"), [("tiny", 0.701), ("small", 2.578), ("base", 9.856)])
def test_patch_slimming_rows(size: str, macs: float) -> None:
    keep = [197, 173, 153, 135, 117, 99, 82, 65, 49, 33, 17, 1]
    of = study(f"patch_slimming_deit_{size}_imagenet")
    sizes = {f"queries.{block}": kept for block, kept in enumerate(keep)}
    assert of.cost.of_sizes("macs", sizes) / 1e9 == pytest.approx(macs, abs=5e-4)
    # On the space's steps of ten tokens, upwards, some per cent more.
    nearest = {
        name: min(value for value in choice.values if value >= kept)
        for (name, choice), kept in zip(of.space.items(), keep, strict=True)
    }
    assert counts(of, Architecture(nearest))[1] == pytest.approx(macs, rel=0.04)


def test_patch_slimming_of_table_3() -> None:
    """The same share in every block but for the last, which computes the class token alone: the paper's 2.6 G."""
    of = study("patch_slimming_deit_small_imagenet")
    sizes = {f"queries.{block}": 103 for block in range(11)} | {"queries.11": 1}
    assert of.cost.of_sizes("macs", sizes) / 1e9 == pytest.approx(2.6, abs=0.02)


def test_an_rows() -> None:
    of = study("an_swin_base_imagenet")
    assert counts(of, Architecture(dict.fromkeys(of.space, 4))) == near(24.84, 4.10)


def test_dan_rows_and_penalties() -> None:
    swin, t2t = study("dan_swin_base_imagenet100_to_imagenet", THOUSAND), study("dan_t2t_14", THOUSAND)
    factors = {"0": 4, "1": 4, "2": 2, "3": 4}
    assert counts(swin, Architecture({name: factors[stage(index(name))] for name in swin.space})) == near(39.025, 6.92)
    assert counts(t2t, Architecture({name: 1 if int(index(name)) < 7 else 2 for name in t2t.space})) == near(
        16.38, 3.66
    )
    for of in (swin, t2t):
        assert isinstance(of.strategy, Dan)
        thesis = 1e-12 * of.cost.base("macs")
        assert of.strategy.gamma == pytest.approx(thesis, rel=0.01), "1e-12 per MAC, as a share of the base model"
        assert math.isclose(of.strategy.arch_lr, of.strategy.training.lr)


@pytest.mark.parametrize("name", NAMES if os.environ.get("NAS_PAPERS") else OFTEN)
def test_a_study_runs_shrunken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = Study.from_yaml(FOLDER / f"{name}.yaml", overrides=shrunken(name, tmp_path), folder=tmp_path / "run")
    record = short.run(quiet=True)
    (trial,) = short.trials().to_dict("records")
    cost = short.resolved.cost
    assert trial["macs"] < cost.base("macs")
    assert set(record.finished) >= {"retrain", "report"}
    assert (tmp_path / "run" / "retrain" / "winner" / "model.safetensors").is_file()
    if name == "patch_slimming_deit_tiny_imagenet":
        figures_are_drawn(tmp_path, monkeypatch)


def figures_are_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch Slimming's figures 3, 6 and 7, of the base model of a run."""
    arguments = ["patch_figures", str(folder / "run"), "--blocks", "0", "--images", "8", "--to", str(folder / "to")]
    monkeypatch.setattr(sys, "argv", arguments)
    patch_figures.main()
    rows = pd.read_csv(folder / "to" / "one_layer.csv")
    assert rows.groupby("measure")["block"].nunique().to_dict() == {"impact": 2, "attention": 1, "random": 1}
    assert pd.read_csv(folder / "to" / "similarity.csv")["similarity"].abs().max() <= 1
    for name in ("similarity", "one_layer"):
        assert (folder / "to" / f"{name}.svg").read_text().startswith("<svg")
