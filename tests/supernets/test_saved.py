"""Extracted models on disk: damage is noticed, nothing is unpickled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from nas.errors import CheckpointError, ModelError, NasError
from nas.preprocessing import Preprocessing
from nas.supernets import Supernet, load, read_blueprint, save
from nas.supernets.model_input import ModelInput
from nas.testing.families import make

ARGS = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    supernet = make("vit_tiny_patch16_224", ARGS, "widths")
    save(
        tmp_path,
        supernet.extract(supernet.space.smallest),
        supernet.blueprint(supernet.space.smallest, {"why": "a test"}),
    )
    return tmp_path


def test_what_lies_there(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.safetensors"]
    assert read_blueprint(saved).about["why"] == "a test"
    assert not load(saved).training


def test_constants_of_the_images_come_back(saved: Path) -> None:
    """timm is told how pictures are prepared for the model, and no longer where its own weights lie."""
    constants = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3, crop_pct=0.9, interpolation="bicubic", source="model")
    supernet = make("vit_tiny_patch16_224", ARGS, "widths")
    about = {"input": ModelInput(3, 32, constants).as_json()}
    save(saved, supernet.extract(supernet.space.smallest), supernet.blueprint(supernet.space.smallest, about))
    model = load(saved)
    assert timm.data.resolve_data_config(model=model) == {
        "input_size": (3, 32, 32),
        "interpolation": "bicubic",
        "mean": (0.5,) * 3,
        "std": (0.25,) * 3,
        "crop_pct": 0.9,
        "crop_mode": "center",
    }
    assert "url" not in model.pretrained_cfg
    assert "hf_hub_id" not in model.pretrained_cfg
    assert model.pretrained_cfg["num_classes"] == 1000


def test_models_of_before_have_the_constants_that_they_were_fed(saved: Path) -> None:
    """Their files say mean and deviation; the rest was always the same."""
    recipe = saved / "model.json"
    content = json.loads(recipe.read_text())
    content["about"]["input"] = {"channels": 1, "size": 32, "mean": [0.3], "std": [0.4]}
    recipe.write_text(json.dumps(content))
    config = timm.data.resolve_data_config(model=load(saved))
    assert (config["mean"], config["crop_pct"], config["interpolation"]) == ((0.3,), 1.0, "bilinear")


@pytest.mark.parametrize(
    "images",
    [
        {},
        {"channels": 3, "size": 32},
        {"channels": 3, "size": -1, "mean": [0.5], "std": [0.5]},
        {"channels": "3", "size": 8, "mean": [0.5], "std": [0.5]},
        {"channels": 3, "size": 32, "mean": [7.0], "std": [0.5]},
        {"channels": 3, "size": 32, "mean": [0.5], "std": [0.5], "interpolation": "magic"},
    ],
)
def test_forged_constants(saved: Path, images: object) -> None:
    recipe = saved / "model.json"
    content = json.loads(recipe.read_text())
    content["about"]["input"] = images
    recipe.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"damaged at 'about\.input"):
        load(saved)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no extracted model here; needed: model\.json"):
        load(tmp_path)


def test_truncated_weights(saved: Path) -> None:
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="checksum"):
        load(saved)


def test_foreign_weights_with_a_forged_checksum(saved: Path) -> None:
    import hashlib

    weights, recipe = saved / "model.safetensors", saved / "model.json"
    tensors = load_file(weights)
    tensors["head.weight"] = torch.zeros(3, 3)
    save_file(tensors, weights)
    content = json.loads(recipe.read_text()) | {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    recipe.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="does not fit"):
        load(saved)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("model_args", "embed_dim"), 16_000, r"bytes cannot be of .* with .* parameters"),
        (
            ("about", "input", "size"),
            8000,
            r"'about\.input': size is 8000, of a model for images of",
        ),
    ],
)
def test_what_a_recipe_says_fills_no_memory(
    saved: Path, keys: tuple[str, ...], value: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads((saved / "model.json").read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    if "input" in keys:
        inner.update(channels=3, mean=[0.5] * 3, std=[0.5] * 3)
    inner[keys[-1]] = value
    (saved / "model.json").write_text(json.dumps(content))
    if "model_args" in keys:
        monkeypatch.setattr("nas.supernets.saved.build", None)  # it is refused before it is built
    with pytest.raises(CheckpointError, match=message):
        load(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 9}'])
def test_a_damaged_recipe(saved: Path, text: str) -> None:
    (saved / "model.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"model\.json"):
        load(saved)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", 3),
        ("model_args", [1]),
        ("sizes", None),
        ("sizes", {"heads.0": -1}),
        ("sizes", {"heads.0": 1.5}),
        ("sizes", {"heads.0": 99}),
        ("selection", {"tokens.0": 3}),
        ("selection", {"tokens.0": [1, 2]}),
        ("model_args", {"checkpoint_path": "evil.pth"}),
    ],
)
def test_a_forged_recipe(saved: Path, key: str, value: object) -> None:
    recipe = saved / "model.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {key: value}))
    with pytest.raises(NasError):
        load(saved)


def test_half_precision_comes_back_so(saved: Path) -> None:
    supernet = make("vit_tiny_patch16_224", ARGS, "widths")
    architecture = supernet.space.smallest
    save(saved / "half", supernet.extract(architecture).bfloat16(), supernet.blueprint(architecture))
    assert {parameter.dtype for parameter in load(saved / "half").parameters()} == {torch.bfloat16}


def test_a_model_that_the_space_does_not_build_cannot_be_saved() -> None:
    space = make("vit_tiny_patch16_224", ARGS, "widths").space
    for other in ({"num_classes": 5}, {"qkv_bias": False}, {"global_pool": "avg"}):
        supernet = Supernet(timm.create_model("vit_tiny_patch16_224", **ARGS | other), space)
        with pytest.raises(ModelError, match="could not be rebuilt"):
            supernet.blueprint(space.smallest)


def test_unknown_axis(saved: Path) -> None:
    recipe = saved / "model.json"
    content = json.loads(recipe.read_text())
    content["sizes"]["mlp.77"] = 3
    recipe.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"has no 3 units of an axis mlp\.77"):
        load(saved)
