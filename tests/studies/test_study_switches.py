"""Switches of a recipe reach the model in every stage that trains, and change nothing but roundings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm.models.vision_transformer as timms
import torch
from picture_sets import class_folders
from studies_fakes import TINY
from studies_partial import run_up_to
from torch import Tensor, fx, nn
from torch.nn import functional

from nas.studies.run.results import BASE, RETRAIN, SUPERNET
from nas.studies.study import Study
from nas.training.bar import Bar

WINNER = "retrain winner"
STAGES = {"base": "base", "supernet": "supernet", "retrain": WINNER}
"""Key of a study -> what its training is called."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three channels: with one, filters lie in memory alike in any format."""
    return class_folders(tmp_path_factory.mktemp("switches") / "set", train=20, test=4)


class Seen(Counter[tuple[str, str]]):
    """(training, what its model did) -> how often; `now` is the training that began last."""

    now = ""

    def note(self, what: str, times: int = 1) -> None:
        self[self.now, what] += times

    def trainings(self, what: str) -> set[str]:
        return {title for title, done in self if done == what and self[title, done]}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen, begin = Seen(), Bar.__init__

    def began(self: Bar, title: str, *others: Any) -> None:
        seen.now = title
        begin(self, title, *others)

    monkeypatch.setattr(Bar, "__init__", began)
    return seen


@pytest.fixture
def watched(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """With what timm's models do."""
    checkpointed, convolved = timms.checkpoint_seq, nn.Conv2d.forward

    def counted(*given: Any, **options: Any) -> Any:
        seen.note("activations computed twice")
        return checkpointed(*given, **options)

    def forward(self: nn.Conv2d, x: Tensor) -> Tensor:
        lies_so = not self.weight.is_contiguous() and self.weight.is_contiguous(memory_format=torch.channels_last)
        seen.note("channels last", self.training and lies_so)
        return convolved(self, x)

    monkeypatch.setattr(timms, "checkpoint_seq", counted)
    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    return seen


def losses(root: Path, folder: Path, *settings: str) -> dict[str, list[float]]:
    """Of every training, by epoch. Nothing is measured after the last one."""
    text = TINY.replace("{name: digits, train_images: 300}", f"{{path: {root}, validation: 0.2}}")
    few = ["strategy={use: uniform, trials: 1}", "threads=1", *(f"{stage}.batch=16" for stage in STAGES)]
    study = Study.from_yaml(text, overrides=[*few, *settings], folder=folder)
    run_up_to("report", study)
    record = study.record
    retrained = record.result(RETRAIN).trainings["winner"]
    histories = [record.result(BASE).history, record.result(SUPERNET).history, retrained.history]
    return {title: [row.loss for row in history] for title, history in zip(STAGES.values(), histories, strict=True)}


@pytest.fixture(scope="module")
def plain(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    return losses(root, tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    ("switch", "effect", "rounding"),
    [("grad_checkpointing", "activations computed twice", 0), ("channels_last", "channels last", 1e-5)],
)
def test_a_switch_reaches_every_training(
    switch: str,
    effect: str,
    rounding: float,
    root: Path,
    tmp_path: Path,
    plain: dict[str, list[float]],
    watched: Seen,
) -> None:
    switched = losses(root, tmp_path / "run", *(f"{stage}.{switch}=true" for stage in STAGES))
    assert watched.trainings(effect) == set(STAGES.values())
    for title, of_epochs in plain.items():
        assert switched[title] == pytest.approx(of_epochs, abs=rounding, rel=0), title


def test_a_switch_is_of_its_stage_alone(root: Path, tmp_path: Path, watched: Seen) -> None:
    losses(root, tmp_path / "run", "supernet.grad_checkpointing=true", "retrain.channels_last=true")
    assert watched.trainings("activations computed twice") == {"supernet"}
    assert watched.trainings("channels last") == {WINNER}


def test_what_stays_the_same_is_compiled(
    root: Path, tmp_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base and the winner, not the supernet. The compiler of machine code is left out, which takes long."""

    def backend(graph: fx.GraphModule, _: Sequence[Tensor]) -> Callable[..., Any]:
        layers = [node for node in graph.graph.nodes if node.target in (functional.linear, functional.conv2d)]
        seen.note("compiled", len(layers))
        return graph.forward

    alone = losses(root, tmp_path / "alone", "retrain.loss=distilled")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    switched = ["base.torchcompile=true", "retrain.torchcompile=true"]
    compiled = losses(root, tmp_path / "compiled", "retrain.loss=distilled", *switched)
    assert seen.trainings("compiled") == {"base", WINNER}
    assert {title: pytest.approx(of_epochs, abs=1e-5) for title, of_epochs in alone.items()} == compiled
