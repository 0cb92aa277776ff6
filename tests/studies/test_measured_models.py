"""`nas evaluate`: any model on any data, and the same numbers as timm's own evaluation, to the image."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from studies_fakes import TINY
from timm.data import ImageDataset, create_loader, resolve_data_config
from timm.models import save_for_hf
from torch import nn

import nas
from nas import cli
from nas.errors import CheckpointError, ConfigError, DataError, MemoryShortageError, ModelError, NasError, RunError
from nas.studies.run.results import PREPARE, RETRAIN
from nas.studies.study import Study

NAME = "vit_tiny_patch16_224"
ARGS = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 3}
CONSTANTS = {"mean": (0.5, 0.4, 0.3), "std": (0.3, 0.2, 0.25), "crop_pct": 0.8, "interpolation": "bicubic"}
STUDY = """
space:
  model: vit_tiny_patch16_224
  model_args: {img_size: 32, patch_size: 8, embed_dim: 32, depth: 2, num_heads: 2}
  choices: {heads: {size: [1, 2], per: block}}
strategy: {use: uniform, trials: 1}
latency: {batches: [1], seconds: 0.01}
threads: 1
"""


class Trained(NamedTuple):
    """A folder of pictures, a model that was trained on them without us, as timm saves it, and what timm says of it."""

    pictures: Path
    saved: Path
    right: Mapping[str, bool]
    """Test picture -> whether timm's evaluation finds its class."""


def draw(folder: Path, seed: int, each: int) -> None:
    """Pictures of odd sizes, PNG and JPEG: noise, whose colour is near that of its class, and at times near another."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(("blue", "green", "red")):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            height, width = rng.integers(31, 97, 2)
            colour = 128 + 30 * np.eye(3)[k] + rng.normal(0, 14, 3)
            pixels = (colour + rng.normal(0, 50, (height, width, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.{'png' if i % 2 else 'jpg'}")


def batches(folder: Path, model: nn.Module) -> Any:
    """timm's own loader, by the model's configuration, in the order of the folder."""
    config = resolve_data_config(model=model)
    used = ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")
    return create_loader(
        ImageDataset(str(folder)),
        batch_size=16,
        is_training=False,
        num_workers=0,
        device=torch.device("cpu"),
        **{key: config[key] for key in used},
    )


def timms_answers(folder: Path, model: nn.Module) -> dict[str, bool]:
    with torch.inference_mode(), warnings.catch_warnings(action="ignore"):  # timm leaves files to be closed by Python
        right = [(model(x).argmax(1) == y).tolist() for x, y in batches(folder, model.eval())]
    files = ImageDataset(str(folder)).filenames(absolute=True)
    return dict(zip(files, chain.from_iterable(right), strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("evaluate")
    draw(folder / "pictures" / "train", 0, 40)
    draw(folder / "pictures" / "test", 1, 25)
    torch.manual_seed(0)
    model = timm.create_model(NAME, pretrained_cfg_overlay={**CONSTANTS, "input_size": (3, 32, 32)}, **ARGS)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    with warnings.catch_warnings(action="ignore"):
        pictures = list(batches(folder / "pictures" / "train", model))
    for _ in range(12):
        for x, y in pictures:
            optimiser.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(x), y))
            optimiser.step()
    save_for_hf(model, str(folder / "saved"), safe_serialization=True, model_args=ARGS)
    return Trained(folder / "pictures", folder / "saved", timms_answers(folder / "pictures" / "test", model))


def test_it_is_timms_own_evaluation_to_the_image(trained: Trained) -> None:
    measured = nas.evaluate(trained.saved, trained.pictures, predictions=True)
    assert measured.predictions is not None
    ours = dict(zip(measured.predictions["image"], measured.predictions["correct"], strict=True))
    assert ours == trained.right
    assert 0.5 < measured.metrics["accuracy"] == np.mean(list(ours.values())) < 1
    assert measured.prepared.crop_pct == 0.8
    streamed = nas.evaluate(trained.saved, trained.pictures, overrides=["data.cache=none", "data.workers=0"])
    assert streamed.metrics == pytest.approx(measured.metrics)


def test_a_study_of_no_epochs_gives_timms_accuracy(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        f"{STUDY}\ndata: {{path: {trained.pictures}}}\nsupernet: {{epochs: 0}}\nretrain: {{epochs: 0}}\n"
        f"base: {{checkpoint: {trained.saved / 'model.safetensors'}, epochs: 0}}\n"
    )
    record = Study.from_yaml(tmp_path / "study.yaml", folder=tmp_path / "run").run(quiet=True)
    row = record.result(RETRAIN).row("base")
    assert row.test_images == len(trained.right)
    assert round(row.test["accuracy"] * row.test_images) == sum(trained.right.values())

    def listed(*_: object) -> None:
        raise AssertionError("the run has a list of its pictures")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.data.reading._listed", listed)
        again = nas.evaluate(tmp_path / "run")
    winner = record.result(RETRAIN).winner
    assert again.metrics == pytest.approx(winner.test)
    assert again.costs == winner.costs
    assert nas.evaluate(tmp_path / "run", split="val").images == record.result(PREPARE).data.images.validation
    draw(tmp_path / "other" / "train", 2, 2)
    draw(tmp_path / "other" / "test", 3, 3)
    assert nas.evaluate(tmp_path / "run", overrides=[f"data.path={tmp_path / 'other'}"]).images == 9
    (tmp_path / "run" / "prepare" / "images.npz").write_bytes(b"none")
    with pytest.raises(RunError, match=r"images\.npz: not the file that the stage 'prepare' left"):
        nas.evaluate(tmp_path / "run")


def test_a_name_of_timm_with_a_file_beside_its_configuration(trained: Trained) -> None:
    weights = trained.saved / "model.safetensors"
    measured = nas.evaluate(NAME, trained.pictures, checkpoint=weights)
    assert measured.metrics == nas.evaluate(trained.saved, trained.pictures).metrics
    model = timm.create_model(NAME, **ARGS)
    model.load_state_dict(load_file(weights))
    model.pretrained_cfg = {**model.pretrained_cfg, **CONSTANTS, "input_size": (3, 32, 32)}
    assert nas.evaluate(model, {"path": str(trained.pictures)}).metrics == measured.metrics


def test_without_a_configuration_timms_own_constants_are_taken_and_said(trained: Trained, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes((trained.saved / "model.safetensors").read_bytes())
    args = [f"model_args.{key}={value}" for key, value in ARGS.items() if key != "num_classes"]
    measured = nas.evaluate(NAME, trained.pictures, checkpoint=weights, overrides=args)
    assert measured.prepared.mean == (0.5, 0.5, 0.5)
    assert "no config.json" in measured.notes[-1]
    said = [*args, "data.mean=[0.5, 0.4, 0.3]", "data.std=[0.3, 0.2, 0.25]", "data.crop_pct=0.8"]
    given = nas.evaluate(NAME, trained.pictures, checkpoint=weights, overrides=said)
    assert given.metrics == nas.evaluate(trained.saved, trained.pictures).metrics


def test_the_command_prints_and_writes(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "here" / "train", 4, 2)
    draw(tmp_path / "here" / "test", 5, 25)
    Path("here/test/red/0.jpg").rename("here/test/red/\x1b[31m.jpg")
    written = ["--predictions", "p.csv", "--json", "numbers.json"]
    assert cli.main(["evaluate", str(trained.saved), "--data", "here", *written, "--amp", "bfloat16"]) == 0
    shown = capsys.readouterr().out
    numbers = json.loads(Path("numbers.json").read_text())
    for line in ("75 images at 32 pixels", "accuracy ", "MACs", "FLOPs", "bicubic, crop_mode center (model)"):
        assert line in shown
    assert numbers["metrics"].keys() == {"accuracy", "loss", "class_accuracy", "calibration_error"}
    assert np.sum(numbers["confusion"]) == numbers["images"] == 75
    assert numbers["costs"]["flops"] == 2 * numbers["costs"]["macs"]
    table = pd.read_csv("p.csv")
    assert list(table) == ["image", "label", "prediction", "probability", "correct"]
    assert table["image"].str.endswith("test/red/\\x1b[31m.jpg").sum() == 1
    assert "\x1b" not in Path("p.csv").read_text()
    assert table["correct"].mean() == pytest.approx(numbers["metrics"]["accuracy"])


def test_data_as_a_study_says_them(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(f"{STUDY}\ndata: {{path: {trained.pictures}}}\nseed: 5\n")
    (tmp_path / "data.yaml").write_text(f"path: {trained.pictures}\n")
    expected = nas.evaluate(trained.saved, trained.pictures)
    for data in (tmp_path / "study.yaml", tmp_path / "data.yaml", f"{{path: {trained.pictures}}}"):
        assert nas.evaluate(trained.saved, data).metrics == expected.metrics


def test_a_folder_without_splits_is_measured_in_part_or_whole(trained: Trained) -> None:
    flat = trained.pictures / "test"
    part, whole = nas.evaluate(trained.saved, flat), nas.evaluate(trained.saved, flat, split="all")
    assert (part.images, whole.images) == (15, 75)
    assert "15 of its 75 images were set aside" in part.notes[-1]
    with pytest.raises(DataError, match="brings train, test; name one of them"):
        nas.evaluate(trained.saved, trained.pictures, split="all")


def test_a_batch_that_does_not_fit_is_a_sentence(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.studies.measure.evaluate._looked_at", lambda *_: torch.empty(2**50))
    with pytest.raises(MemoryShortageError, match=r"measure in batches of 64 \(.*; set a smaller batch \(--batch\)"):
        nas.evaluate(trained.saved, trained.pictures, batch=64)


def test_pictures_that_cannot_be_read(trained: Trained, tmp_path: Path) -> None:
    draw(tmp_path / "d" / "test", 2, 6)
    draw(tmp_path / "d" / "train", 3, 2)
    (tmp_path / "d" / "test" / "green" / "3.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"3\.png: not a readable picture"):
        nas.evaluate(trained.saved, tmp_path / "d")
    for cache in ("memory", "none"):
        said = ["data.on_error=skip", f"data.cache={cache}", "data.workers=0"]
        measured = nas.evaluate(trained.saved, tmp_path / "d", overrides=said, predictions=True)
        assert measured.predictions is not None
        assert len(measured.predictions) == 17
        assert not measured.predictions["image"].str.endswith("green/3.png").any()


def small(saved: Path, **others: Any) -> Path:
    """A model of two classes."""
    model = timm.create_model(NAME, **{**ARGS, "num_classes": 2, **others})
    save_for_hf(model, str(saved), safe_serialization=True, model_args={**ARGS, "num_classes": 2, **others})
    return saved


def test_what_does_not_fit_is_a_sentence(trained: Trained, tmp_path: Path) -> None:
    weights = trained.saved / "model.safetensors"
    asked: list[tuple[type[NasError], str, dict[str, Any]]] = [
        (CheckpointError, "pictures has 3 classes", {"model": small(tmp_path / "two")}),
        (ModelError, "1000 classes; pictures has 3", {"model": NAME, "pretrained": True}),
        (ModelError, "neither of --checkpoint", {"model": NAME}),
        (ModelError, "did you mean 'vit_tiny_patch16_224'", {"model": "vit_tiny_patch16_225", "pretrained": True}),
        (ModelError, "no model here", {"model": trained.pictures}),
        (ModelError, "go with timm's name", {"model": trained.saved, "checkpoint": weights}),
        (CheckpointError, "no such checkpoint", {"model": NAME, "checkpoint": tmp_path / "none.pth"}),
        (DataError, "data: missing", {"model": trained.saved, "data": None}),
        (DataError, "does not exist", {"model": trained.saved, "data": "nowhere"}),
        (DataError, "lie|missing", {"model": trained.saved, "data": "cifar10"}),
        (RunError, "did you mean 'test'", {"model": trained.saved, "split": "tets"}),
        (RunError, "allowed: auto, cpu", {"model": trained.saved, "device": "gpu"}),
        (RunError, "allowed: bfloat16, float16", {"model": trained.saved, "amp": "half"}),
        (RunError, "batch: found 0", {"model": trained.saved, "batch": 0}),
        (ConfigError, "unknown key", {"model": trained.saved, "overrides": ["data.pth=x"]}),
        (CheckpointError, "images are of 64 pixels", {"model": trained.saved, "overrides": ["data.image_size=64"]}),
    ]
    for kind, message, options in asked:
        with pytest.raises(kind, match=message):
            nas.evaluate(**{"data": trained.pictures, **options})


def test_an_extracted_model_takes_its_own_size_channels_and_classes(
    tmp_path: Path, trained: Trained, plain_run: Study
) -> None:
    plain_run.extract(to=tmp_path / "model")
    measured = nas.evaluate(tmp_path / "model", "digits", overrides=["data.train_images=300"])
    assert measured.images == plain_run.record.result(RETRAIN).winner.test_images
    assert measured.metrics.keys() >= {"accuracy", "top5"}
    for message, data, said in (
        ("10 classes; pictures has 3", trained.pictures, []),
        ("takes 8 pixels", "digits", ["data.image_size=16"]),
    ):
        with pytest.raises(NasError, match=message):
            nas.evaluate(tmp_path / "model", data, overrides=said)


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study.from_yaml(TINY.replace("trials: 12", "trials: 2"), folder=tmp_path_factory.mktemp("run") / "tiny")
    study.run(quiet=True)
    return study


def test_classes_of_other_names_are_told(tmp_path: Path, plain_run: Study) -> None:
    plain_run.extract(to=tmp_path / "model")
    content = json.loads((tmp_path / "model" / "model.json").read_text())
    content["about"]["classes"][2] = "two"
    (tmp_path / "model" / "model.json").write_text(json.dumps(content))
    assert "called two by the model and 2 by digits" in nas.evaluate(tmp_path / "model", "digits").notes[-1]


def test_an_unfinished_run_has_no_winner(tmp_path: Path, plain_run: Study) -> None:
    folder = tmp_path / "run"
    shutil.copytree(plain_run.folder.path, folder)
    (folder / "retrain" / "result.json").unlink()
    with pytest.raises(RunError, match="the stage 'retrain' is not finished"):
        nas.evaluate(folder)
