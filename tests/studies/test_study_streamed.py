"""A study whose pictures stream: killed in the midst of an epoch and continued on two workers, it is the same study."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from picture_sets import class_folders
from studies_fakes import TINY
from studies_partial import found, run_up_to

from nas.data.streamed import StreamedSplit
from nas.studies.run.results import BASE, SUPERNET
from nas.studies.study import Study
from nas.tasks import Batch

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nas.studies.study", "nas.strategies.evolution", "nas.studies.stages.report"])
BATCHES = 4
"""Of an epoch."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "set", train=35, test=4)


def study(root: Path, folder: Path, workers: int) -> Study:
    data = f"{{path: {root}, cache: none, workers: {workers}, validation: 0.2}}"
    text = TINY.replace("{name: digits, train_images: 300}", data)
    overrides = [f"{stage}.{option}" for stage in ("base", "supernet") for option in ("batch=16", "augment=light")]
    return Study.from_yaml(text, overrides=[*overrides, "strategy.trials=4"], folder=folder)


def logging(log: Path, die_at: int | None = None) -> Any:
    """`StreamedSplit.batches` that writes down what is trained on, and kills its process at the n-th batch."""
    batches, count = StreamedSplit.batches, 0

    def logged(self: StreamedSplit, size: int, **options: Any) -> Iterator[Batch]:
        nonlocal count
        for batch in batches(self, size, **options):
            if options.get("seed") is not None:
                count += 1
                if count == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                with log.open("a") as file:
                    file.write(hashlib.sha256(batch.inputs.numpy().tobytes()).hexdigest() + "\n")
            yield batch

    return logged


def run_and_die(root: Path, folder: Path, log: Path, batch: int) -> None:
    StreamedSplit.batches = logging(log, batch)  # type: ignore[method-assign]
    study(root, folder, 0).run(quiet=True)  # workers would keep whoever waits for this process waiting


def test_killed_in_an_epoch_it_goes_on_with_the_same_pictures(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StreamedSplit, "batches", logging(tmp_path / "whole.log"))
    whole = run_up_to("extract", study(root, tmp_path / "whole", 0))
    seen = (tmp_path / "whole.log").read_text().split()
    assert len(seen) == 2 * 2 * BATCHES
    assert len(set(seen)) == 2 * BATCHES  # no two epochs alike, but for those of two trainings

    killed_at = 3 * BATCHES + 2  # in the second epoch of the supernet
    process = PROCESSES.Process(
        target=run_and_die, args=(root, tmp_path / "killed", tmp_path / "killed.log", killed_at + 1)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "killed.log").read_text().split() == seen[:killed_at]

    monkeypatch.undo()
    monkeypatch.setattr(StreamedSplit, "batches", logging(tmp_path / "rest.log"))
    continued = run_up_to("extract", study(root, tmp_path / "killed", 2))
    assert (tmp_path / "rest.log").read_text().split() == seen[3 * BATCHES :]
    assert found(continued) == found(whole)
    for stage in (BASE, SUPERNET):
        one, other = (some.record.result(stage).history for some in (whole, continued))
        assert [epoch.loss for epoch in one] == [epoch.loss for epoch in other]
