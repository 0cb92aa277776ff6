"""How far a run is, read from what it leaves while it is under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from studies_fakes import TINY, trial

from nas import Study
from nas.studies.run import progress
from nas.studies.run.progress import progress_of


def checkpoint(path: Path, rows: list[dict[str, object]]) -> None:
    """A safetensors file with these epochs in its header, and no tensors."""
    header = json.dumps({"__metadata__": {"history": json.dumps(rows)}}).encode()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)


EPOCHS: list[dict[str, object]] = [
    {"epoch": n, "loss": 1 / n, "lr": 0.1, "seconds": 2.0 * n, "metrics": {"accuracy": 0.25 * n}} for n in (1, 2)
]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A run that was begun, and stopped before anything was done."""
    from nas.studies.stages.beginning import begin

    begun = Study.from_yaml(TINY, overrides=["base.epochs=10"], folder=tmp_path / "run")
    begin(begun.resolved, begun.folder)
    return begun


def test_a_training_tells_its_epochs_and_what_is_left(study: Study) -> None:
    checkpoint(study.folder.path / "base" / "training.safetensors", EPOCHS)
    stages = {stage.stage: stage for stage in progress_of(study.record)}
    assert stages["base"].state == "to come"
    assert stages["base"].done == "epoch 2 of 10, loss 0.500 accuracy 0.500"
    assert progress._under_way(study.record, "base").rest == 8 * 3.0  # seconds of an epoch: the mean of 2 and 4
    assert stages["explore"].done == ""


def test_a_search_tells_its_best_and_what_is_left(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.studies.run.record import Record

    monkeypatch.setattr(Record, "stored", lambda _: [trial(n, 0.5 + 0.1 * n) for n in range(3)])
    found = progress._under_way(study.record, "explore")
    assert found.done == "trial 3 of 24, best accuracy 0.7000"
    assert found.rest == pytest.approx(21 * 0.25)


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02" + b"\0" * 7 + b"[]", (2**40).to_bytes(8, "little")])
def test_what_is_no_checkpoint_tells_nothing(study: Study, content: bytes) -> None:
    path = study.folder.path / "base" / "training.safetensors"
    path.parent.mkdir()
    path.write_bytes(content)
    assert progress._rows(path) == []
    checkpoint(path, [{"loss": "high"}])
    assert progress._rows(path) == []


def test_a_link_is_not_followed(study: Study, tmp_path: Path) -> None:
    checkpoint(tmp_path / "else" / "training.safetensors", EPOCHS)
    link = tmp_path / "link.safetensors"
    link.symlink_to(tmp_path / "else" / "training.safetensors")
    assert progress._rows(link) == []
    assert len(progress._rows(tmp_path / "else" / "training.safetensors")) == 2


def test_trainings_one_after_the_other(study: Study) -> None:
    folder = study.folder.path / "retrain"
    checkpoint(folder / "uniform-training.safetensors", EPOCHS)
    (folder / "winner.json").write_text("{}")
    found = progress._under_way(study.record, "retrain")
    assert found.done == "1 trained and epoch 2 of 2, loss 0.500 accuracy 0.500"
