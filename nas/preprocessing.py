"""How pictures become the input of a model: what they are resized by and normalised with, and who said so.

A model is only as good as it was trained when its pictures are prepared as they were then. So data carry this, models
carry it along, and it is handed back to whoever prepares the next pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias, final

from pydantic import Field

from nas.errors import DataError

Mean = tuple[Annotated[float, Field(ge=0, le=1)], ...]
Std = tuple[Annotated[float, Field(gt=0, le=1)], ...]
CropShare = Annotated[float, Field(gt=0, le=1)]
Interpolation = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]
CropMode = Literal["center", "squash"]

ImageSize: TypeAlias = int | tuple[int, int]
"""Pixels: the side of a square, or height and width of what is none."""

DATA, MODEL, GIVEN = "data", "model", "given"
"""Sources: statistics of the training split, the model's own `pretrained_cfg`, the study's file."""


@final
@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The constants, under the names that timm's `pretrained_cfg` has for them.

    mean, std       per channel, of pixels in 0 ... 1
    crop_pct        share of the resized picture's side that is kept: the shorter side is resized to
                    floor(size / crop_pct), and the middle of `size` x `size` pixels is cut out
    interpolation   by which the picture is resized
    crop_mode       "center" as said; "squash" resizes both sides to that, whatever their ratio
    source          who said so: "data", "model" or "given", or several of them, joined by " + "
    """

    mean: Mean
    std: Std
    crop_pct: CropShare = 1.0
    interpolation: Interpolation = "bilinear"
    crop_mode: CropMode = "center"
    source: str = DATA

    def for_channels(self, channels: int) -> Preprocessing:
        """The same for pictures of so many channels: one value serves all of them; for grey pictures, the values of a
        model for colours are averaged, since timm adds up the filters of its channels. Raises `DataError` for any
        other number of values.
        """
        return replace(self, mean=_spread(self.mean, channels), std=_spread(self.std, channels))


def _spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    if channels == 1 and values:
        return (sum(values) / len(values),)
    raise DataError(f"the model was trained with constants of {len(values)} channels, the images have {channels}")


def sides(size: ImageSize) -> tuple[int, int]:
    """Height and width of images of a size."""
    return (size, size) if isinstance(size, int) else size


def size_of(height: int, width: int) -> ImageSize:
    """The size of images of this height and width."""
    return height if height == width else (height, width)


def shown_size(size: ImageSize) -> str:
    """As people read it: 224, or 96 x 128."""
    return str(size) if isinstance(size, int) else " x ".join(map(str, size))
