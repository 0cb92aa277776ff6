"""What a base model starts from: files of training scripts, and the constants by which its images are prepared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from studies_fakes import TINY
from studies_partial import run_up_to
from torch import Tensor

import nas
import nas.cli
from nas.data import DataSpec, load_data
from nas.errors import CheckpointError
from nas.evaluation import evaluate
from nas.preprocessing import Preprocessing
from nas.studies.report.findings import Findings
from nas.studies.run.results import BASE, PREPARE
from nas.studies.study import Study
from nas.supernets import build
from nas.supernets import published as published_weights
from nas.supernets.checkpoint import load_all_weights
from nas.supernets.model_input import beside, of_pretrained

MODEL_ARGS = {
    "img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "class_token": False,
    "global_pool": "avg", "num_classes": 10, "in_chans": 1,
}  # fmt: skip
CONSTANTS = {"mean": [0.5], "std": [0.5], "crop_pct": 0.9, "interpolation": "bicubic", "crop_mode": "center"}


def state() -> dict[str, Tensor]:
    torch.manual_seed(7)
    return dict(build("vit_tiny_patch16_224", MODEL_ARGS).state_dict())


def started_from(checkpoint: Path, *overrides: str) -> Study:
    settings = [f"base.checkpoint={checkpoint}", "base.epochs=0", *overrides]
    return Study.from_yaml(TINY, overrides=settings, folder=checkpoint.parent / "run")


def loss(constants: Preprocessing | None) -> float:
    """Of the model on the study's validation split, by hand."""
    model = build("vit_tiny_patch16_224", MODEL_ARGS)
    model.load_state_dict(state())
    spec = DataSpec(name="digits", train_images=300)
    data = load_data(spec, image_size=8, seed=4, constants=constants)
    return float(evaluate(model.eval(), data.validation, data.task).metrics["loss"])


def test_a_checkpoint_is_measured_by_the_constants_that_came_with_it(tmp_path: Path) -> None:
    """Not by the statistics of the data; and its sub-networks carry them on."""
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state().items()}}, tmp_path / "a.pth")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit", "pretrained_cfg": CONSTANTS}))
    own = Preprocessing(mean=(0.5,), std=(0.5,), crop_pct=0.9, interpolation="bicubic", source="model")
    assert beside(tmp_path / "a.pth") == own
    study = started_from(tmp_path / "a.pth", "supernet.epochs=0", "retrain.epochs=0")
    study.run(quiet=True)
    record = study.record
    measured = record.result(BASE).validation["loss"]
    assert measured == pytest.approx(loss(own), rel=1e-6)
    assert abs(measured - loss(None)) > 1e-3
    assert record.result(PREPARE).preprocessing == own
    assert record.result(BASE).notes == [
        "base.checkpoint: weights under 'model'",
        "base.checkpoint: names without 'module.'",
    ]
    findings = Findings(record)
    assert findings.preprocessing == (
        "mean 0.500; deviation 0.500; bicubic, 90.0 % of the side kept (center): by the pretrained model"
    )
    assert findings.preprocessing in (study.folder.path / "report" / "report.html").read_text()
    assert (
        "base.checkpoint: names without &#39;module.&#39;" in (study.folder.path / "report" / "report.html").read_text()
    )
    for stage in ("extract", "retrain"):
        config = timm.data.resolve_data_config(model=nas.load(study.folder.path / stage / "winner"))
        assert (config["mean"], config["crop_pct"], config["interpolation"]) == ((0.5,), 0.9, "bicubic")
        assert config["input_size"] == (1, 8, 8)
    # A run keeps to its constants when the file is gone.
    (tmp_path / "config.json").unlink()
    assert Study.open(study.folder.path)._workshop().data.preprocessing == own


def test_without_a_configuration_the_data_say_and_the_study_may(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "a.pth")
    for overrides, source in (((), "data"), (("data.mean=[0.5]", "data.std=[0.25]"), "given")):
        study = run_up_to("supernet", started_from(tmp_path / "a.pth", *overrides, f"name={source}"))
        preprocessing = study.record.result(PREPARE).preprocessing
        assert preprocessing is not None
        assert preprocessing.source == source
        assert (preprocessing.mean == (0.5,)) == (source == "given")
        assert "no config.json" in study.record.result(BASE).notes[0]
        study.folder.path.rename(tmp_path / source)


def test_constants_of_timms_pretrained_weights() -> None:
    for name, mean, crop in (("vit_tiny_patch16_224", 0.5, 0.9), ("deit_tiny_patch16_224", 0.485, 0.9)):
        with torch.device("meta"):
            constants = of_pretrained(build(name, {"depth": 1}))
        assert (constants.mean[0], constants.crop_pct, constants.interpolation) == (mean, crop, "bicubic")
        assert constants.source == "model"


def test_pretrained_weights_ask_for_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known without the weights, before they are fetched."""
    monkeypatch.setattr(published_weights, "published", lambda _: published_weights.PublishedWeights(here=False))
    study = Study.from_yaml(TINY, overrides=["base.pretrained=true"], folder=tmp_path / "run")
    study = run_up_to("base", study)
    preprocessing = study.record.result(PREPARE).preprocessing
    assert preprocessing == Preprocessing(
        mean=(0.5,), std=(0.5,), crop_pct=0.9, interpolation="bicubic", source="model"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ('{"pretrained_cfg": {"mean": [9], "std": [1]}}', r"found 'pretrained_cfg\.mean\.0' = 9"),
        ('{"pretrained_cfg": {"mean": [0.5], "std": [0.5], "interpolation": "magic"}}', "interpolation' = 'magic'"),
    ],
)
def test_a_damaged_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        beside(tmp_path / "a.pth")


@pytest.mark.parametrize("text", ["[]", "{}", '{"pretrained_cfg": 3}', '{"model_type": "vit"}'])
def test_a_configuration_of_another_program(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert beside(tmp_path / "a.pth") is None


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_checkpoint_that_is_no_number_is_named_before_anything_trains(
    tmp_path: Path, tiny: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = state()
    weights["head.weight"][0, 0] = float(value)
    torch.save(weights, tmp_path / "a.pth")
    folder = tmp_path / "run"
    command = ["run", str(tiny), "--folder", str(folder), "--set", f"base.checkpoint={tmp_path / 'a.pth'}", "--quiet"]
    assert nas.cli.main(command) == 2
    said = capsys.readouterr().err
    assert "'head.weight' has 1 of 160 values that are NaN or infinite" in said
    assert "Traceback" not in said
    assert not (folder / "prepare" / "result.json").exists(), "the study may still be changed"
    run_up_to("base", Study.from_yaml(tiny, overrides=["base.epochs=0"], folder=folder))


def test_a_teacher_that_is_no_number_is_named(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    torch.save({**model.state_dict(), "bias": torch.tensor([1.0, float("nan")])}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"'bias' has 1 of 2 values that are NaN or infinite"):
        load_all_weights(model, tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("base.checkpoint=nosuch.pth", "base.checkpoint: 'nosuch.pth', which does not exist"),
        (
            "base.pretrained=true",
            "base.pretrained: timm's weights of vit_tiny_patch16_224 are not on this machine; nas run fetches them",
        ),
        (
            "retrain.teacher={model: vit_small_patch16_36x1_224, pretrained: true}",
            "retrain.teacher.pretrained: timm has none for vit_small_patch16_36x1_224",
        ),
        ("base.epochs=1", None),
    ],
)
def test_weights_that_are_not_here_are_shown(
    tiny: Path, setting: str, line: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(published_weights, "are_here", lambda _: False)
    assert nas.cli.main(["show", str(tiny), "--set", setting]) == 0
    shown = [row for row in capsys.readouterr().out.splitlines() if row.startswith("weights")]
    assert shown == ([f"weights        {line}"] if line else [])
