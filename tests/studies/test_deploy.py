"""Which model leaves a run, and on which images it is compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import nas
from nas import cli
from nas.data import load_data
from nas.deployment import Deployable, onnx_file
from nas.studies.study import Study


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[Deployable]:
    """What leaves, without being written."""
    models: list[Deployable] = []

    def write(original: Deployable, path: Path) -> str:
        models.append(original)
        return "written"

    monkeypatch.setattr(onnx_file, "require_packages", lambda: None)
    monkeypatch.setattr(onnx_file, "write", write)
    return models


def test_the_retrained_winner_leaves_and_is_compared_on_images_of_the_run(
    finished: Study, left: list[Deployable], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", str(finished.folder.path), "--onnx", str(tmp_path / "a.onnx")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.onnx'}: written; 0.00 MB\n"
    assert len(left) == 1
    winner = nas.load(finished.folder.path / "retrain" / "winner")
    images = torch.zeros(2, *left[0].image)
    assert torch.equal(left[0].module(images), winner(images))
    validation = load_data(finished.resolved.config.data, image_size=8, seed=finished.resolved.config.seed).validation
    assert left[0].real is not None
    assert torch.equal(left[0].real, next(validation.batches(7)).inputs)


def test_another_architecture_and_a_winner_that_was_not_retrained(
    finished: Study, left: list[Deployable], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.folder.path, run)
    shutil.rmtree(run / "retrain")
    assert cli.main(["export", str(run), "--onnx", str(tmp_path / "a.onnx")]) == 0
    assert "its weights are the supernet's" in capsys.readouterr().out
    number = ["--trial", "0"]
    assert cli.main(["export", str(run), "--onnx", str(tmp_path / "b.onnx"), *number]) == 0
    assert cli.main(["extract", str(run), "--to", str(tmp_path / "model"), *number]) == 0
    images = torch.zeros(2, *left[1].image)
    assert torch.equal(left[1].module(images), nas.load(tmp_path / "model")(images))
