"""Stages that do not fit into memory: a sentence, nothing lost, and the run goes on with less. The allocations are
real.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from studies_fakes import TINY
from studies_partial import run_up_to
from torch import Tensor, nn

import nas.cli
from nas.errors import MemoryShortageError, RunError
from nas.latency import whole_models as latency
from nas.studies.run.record import Record
from nas.studies.run.results import BASE, RETRAIN
from nas.studies.study import Study
from nas.tasks import Batch
from nas.training import PlainStep, StepContext

BRIEF = ("base.epochs=1", "supernet.epochs=0", "retrain.epochs=1", "strategy.trials=2", "baseline=1")


def hungry(self: PlainStep, batch: Batch, context: StepContext) -> Iterator[Tensor]:
    """Takes a batch of 8 at most."""
    yield torch.empty(2**50) if len(batch) > 8 else context.criterion(context.module(batch.inputs), batch.targets)


def run(*words: object) -> int:
    return nas.cli.main(["run", "--quiet", *map(str, words)])


def test_a_training_that_does_not_fit_goes_on_with_a_smaller_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PlainStep, "__call__", hungry)
    (tmp_path / "tiny.yaml").write_text(TINY)
    folder = tmp_path / "run"
    settings = [word for setting in BRIEF for word in ("--set", setting)]
    assert run(tmp_path / "tiny.yaml", "--folder", folder, *settings, "--set", "base.batch=64") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: base: not enough memory to train in batches of 64 (")
    assert "set a smaller batch" in said
    assert said.count("\n") == 1
    assert Record.open(folder).finished == ("prepare",)

    assert run(folder, "--set", "seed=2") == 2
    with pytest.raises(RunError, match=r"the run has other settings: base\.batch \(there 64, now 8\)"):
        Study.open(folder, overrides=["base.batch=8"])._workshop()
    run_up_to("supernet", Study.open(folder, overrides=["base.batch=8", "base.accumulate=8"]))
    record = Record.open(folder)
    assert record.settings["base"]["batch"] == 8  # type: ignore[index, call-overload]
    assert len(record.result(BASE).history) == 1
    record.verify()

    capsys.readouterr()
    assert run(folder, "--set", "base.batch=4") == 2, "it has been trained"
    assert "other settings: base.batch (there 8, now 4)" in capsys.readouterr().err
    run_up_to("supernet", Study.open(folder, overrides=["base.batch=4"]), start="base")
    assert Record.open(folder).settings["base"]["batch"] == 4  # type: ignore[index, call-overload]


def test_latency_that_does_not_fit_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_turns = latency.in_turns
    monkeypatch.setattr(
        latency,
        "in_turns",
        lambda passes, rounds, clock: (
            in_turns(passes, rounds, clock) if len(passes[0].inputs) < 99 else torch.empty(2**50).sum().item()
        ),
    )
    folder = tmp_path / "run"
    study = Study.from_yaml(TINY, overrides=[*BRIEF, "latency.batches=[1, 99]", "base.epochs=0"], folder=folder)
    with pytest.raises(MemoryShortageError, match=r"^retrain: not enough memory to time batches of 99 \("):
        study.run(quiet=True)
    trained = (folder / "retrain" / "winner.json").read_bytes()
    run_up_to("report", Study.open(folder, overrides=["latency.batches=[1]"]))
    assert (folder / "retrain" / "winner.json").read_bytes() == trained
    assert set(Record.open(folder).result(RETRAIN).rows[0].latency) == {"1"}


def test_what_is_measured_and_does_not_fit_names_its_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.empty(2**50)

    study = Study.from_yaml(TINY, overrides=[*BRIEF, "base.epochs=0"], folder=tmp_path / "run")
    monkeypatch.setattr("nas.studies.stages.workshop.build", lambda *_, **__: Greedy())
    with pytest.raises(MemoryShortageError, match=r"^base: not enough memory to measure in batches of 512 "):
        study.run(quiet=True)
