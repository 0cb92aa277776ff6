"""The constants that images are prepared by: whose they are, and that pixels are timm's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from timm.data import create_transform
from torchvision.transforms.v2 import functional as vision

from nas.data import DataSpec, load_data
from nas.data.resizing import Resizing
from nas.errors import DataError
from nas.preprocessing import Preprocessing

DIGITS = DataSpec(name="digits")
MODEL = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.3), crop_pct=0.8, interpolation="bicubic", source="model")


def test_statistics_of_the_training_split_unless_anybody_says_otherwise() -> None:
    data = load_data(DIGITS, image_size=8, seed=0)
    pixels = data.train.images.double() / 255
    assert data.preprocessing == Preprocessing(mean=data.mean, std=data.std)
    assert data.mean == pytest.approx((float(pixels.mean()),))
    assert data.std == pytest.approx((float(pixels.std(correction=0)),))


def test_constants_of_a_model() -> None:
    data = load_data(DIGITS, image_size=8, seed=0, constants=MODEL)
    assert data.preprocessing.source == "model"
    assert (
        data.mean == data.test.preprocessing.mean == pytest.approx((0.4,))
    )  # grey images: the mean of the three channels
    assert data.std == pytest.approx((0.35,))
    assert (data.preprocessing.crop_pct, data.preprocessing.interpolation) == (0.8, "bicubic")
    plain = load_data(DIGITS, image_size=8, seed=0)
    assert not torch.equal(plain.train.images, data.train.images)


SOURCES: list[tuple[dict[str, Any], Preprocessing | None, str]] = [
    ({"mean": (0.2,)}, None, "data + given"),
    ({"mean": (0.2,), "std": (0.3,)}, None, "given"),
    ({"crop_pct": 0.9}, None, "data + given"),
    ({"mean": (0.2,)}, MODEL, "model + given"),
    ({"mean": (0.2,), "std": (0.3,), "crop_pct": 0.8, "interpolation": "nearest"}, MODEL, "model + given"),
]


@pytest.mark.parametrize(("given", "model", "source"), SOURCES)
def test_what_a_study_says_goes_first(given: dict[str, Any], model: Preprocessing | None, source: str) -> None:
    by = load_data(DataSpec(name="digits", **given), image_size=8, seed=0, constants=model).preprocessing
    assert {name: getattr(by, name) for name in given} == given
    assert by.source == source
    if model is not None and "interpolation" not in given:
        assert by.interpolation == model.interpolation


def test_one_value_serves_all_channels_and_no_other_number_does() -> None:
    assert Preprocessing(mean=(0.5,), std=(0.2,)).for_channels(3).std == (0.2,) * 3
    assert MODEL.for_channels(3) == MODEL
    with pytest.raises(DataError, match="constants of 3 channels, the images have 4"):
        MODEL.for_channels(4)
    with pytest.raises(DataError, match=r"data\.mean: 3 values, but the images have 1 channels; needed: one value"):
        load_data(DataSpec(name="digits", mean=(0.1, 0.2, 0.3)), image_size=8, seed=0)


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"])
@pytest.mark.parametrize("shape", [(40, 60, 3), (61, 30, 1), (24, 24, 3)])
def test_pixels_are_those_of_timm(shape: tuple[int, ...], interpolation: Any, crop_mode: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    transform = create_transform(
        (3, 24, 24), is_training=False, interpolation=interpolation, crop_pct=0.875, crop_mode=crop_mode,
        mean=(0.5,) * shape[2], std=(0.25,) * shape[2],
    )  # fmt: skip
    expected = transform(Image.fromarray(pixels.squeeze()))
    images = torch.from_numpy(pixels).permute(2, 0, 1).expand(2, -1, -1, -1)
    resized = Resizing(24, 0.875, interpolation, crop_mode)(images)
    assert resized.dtype == torch.uint8
    for image in resized:
        torch.testing.assert_close((image.float() / 255 - 0.5) / 0.25, expected)


def test_the_default_is_what_it_always_was() -> None:
    images = torch.randint(0, 256, (2, 3, 40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = vision.center_crop(vision.resize(images, [24], antialias=True), [24, 24])
    assert torch.equal(Resizing(24)(images), expected)
    assert Resizing(40)(images[..., :40]).data_ptr() == images.data_ptr()


WRONG: list[dict[str, Any]] = [
    {"mean": []},
    {"mean": [127.5]},
    {"mean": [float("nan")]},
    {"std": [0.0]},
    {"std": [-0.1]},
    {"std": [58.4]},
    {"crop_pct": 0},
    {"crop_pct": 1.01},
    {"crop_pct": float("nan")},
    {"interpolation": "cubic"},
    {"image_size": 5000},
    {"image_size": 10**12},
    {"train_images": 10**12},
    {"split_folders": "all"},
    {"classes": ["ant"]},
]


@pytest.mark.parametrize("content", WRONG, ids=str)
def test_bounds(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(content))):
        TypeAdapter(DataSpec).validate_python({"name": "digits", **content})
    TypeAdapter(DataSpec).validate_python({"mean": [0.5], "std": [0.1, 0.2, 1], "crop_pct": 1, "interpolation": "box"})
