"""A study whose trainings have a teacher: it runs, another run goes on with it, and a wrong one is said at once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import load_file, save_file
from studies_fakes import TINY
from torch import Tensor

from nas import Study
from nas.errors import CheckpointError, ConfigError
from nas.studies.run.results import BASE
from nas.training import StepContext
from nas.training.objectives.taught import TaughtStep


def checkpoint(folder: Path, classes: int) -> Path:
    path = folder / "teacher.safetensors"
    model = timm.create_model("vit_tiny_patch16_224", img_size=16, patch_size=8, embed_dim=8, depth=1, num_heads=1,
                              in_chans=1, num_classes=classes)  # fmt: skip
    save_file(model.state_dict(), path)
    return path


def taught(path: Path, more: str = "") -> str:
    args = "{img_size: 16, patch_size: 8, embed_dim: 8, depth: 1, num_heads: 1}"
    teacher = f"{{model: vit_tiny_patch16_224, model_args: {args}, checkpoint: {path}{more}}}"
    study = TINY.replace("trials: 12", "trials: 4")
    for stage in ("base", "supernet", "retrain"):
        study = study.replace(f"{stage}: {{epochs: 2}}", f"{stage}: {{epochs: 1, teacher: {teacher}}}")
    return study


def test_every_training_of_a_study_may_have_a_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, heard = taught(checkpoint(tmp_path, 10), ", answers: hard, weight: 0.7"), []
    lesson = TaughtStep._lesson

    def listened(self: TaughtStep, outputs: Any, answers: Any, context: StepContext) -> Tensor:
        heard.append(type(self.step).__name__)
        return lesson(self, outputs, answers, context)

    monkeypatch.setattr(TaughtStep, "_lesson", listened)
    record = Study.from_yaml(study, folder=tmp_path / "run").run(quiet=True)
    assert record.finished[-1] == "report"
    assert set(heard) == {"PlainStep", "SupernetStep", "AdjoinedStep"}
    again = Study.from_yaml(study, folder=tmp_path / "run")
    again.run(quiet=True)  # recognised as the same run
    heard.clear()
    truth = again.tau(architectures=3, seeds=1, epochs=1, loss="plain")
    assert set(heard) == {"PlainStep"}, "what is retrained to rank it has the study's teacher"
    assert len(truth.table) == 3


def test_the_base_model_of_a_study_teaches_what_comes_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, seen = "{epochs: 1, teacher: {model: base, weight: 1.0}}", []
    study = TINY.replace("trials: 12", "trials: 4").replace("retrain: {epochs: 2}", f"retrain: {own}")
    study = study.replace("supernet: {epochs: 2}", f"supernet: {own}")
    lesson = TaughtStep._lesson

    def listened(self: TaughtStep, outputs: Any, answers: Any, context: StepContext) -> Tensor:
        seen.append((type(self.step).__name__, copy.deepcopy(self.teacher.state_dict())))
        return lesson(self, outputs, answers, context)

    monkeypatch.setattr(TaughtStep, "_lesson", listened)
    record = Study.from_yaml(study, folder=tmp_path / "run").run(quiet=True)
    assert {name for name, _ in seen} == {"SupernetStep", "AdjoinedStep"}
    base = load_file(record.folder.path / "base" / "weights.safetensors")
    for _, weights in seen:
        assert all((weights[f"model.{name}"] == value).all() for name, value in base.items()), "it stays as it was"
    with pytest.raises(ConfigError, match=r"base\.teacher.*the base model cannot teach itself"):
        Study.from_yaml(TINY.replace("base: {epochs: 2}", f"base: {own}"), folder=tmp_path / "other")


def test_a_teacher_that_does_not_fit_is_said_before_anything_trains(tmp_path: Path) -> None:
    study = Study.from_yaml(taught(checkpoint(tmp_path, 7)), folder=tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"'head.weight' is \(7, 8\) there, \(10, 8\) in the model"):
        study.run(quiet=True)
    assert not study.folder.done(BASE)


def test_keys_of_a_teacher_are_checked_with_those_of_the_study(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 10)
    for more, fault in {
        ", answer: hard": "teacher.answer: found an unknown key",
        ", answers: hard, temperature: 2": "which is not read with answers: hard",
        ", pretrained: true": "teacher.pretrained: found true, which is not read with checkpoint",
    }.items():
        with pytest.raises(ConfigError, match=fault):
            Study.from_yaml(taught(path, more), folder=tmp_path / "run")
