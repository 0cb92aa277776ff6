"""By which constants images are prepared: the study's own, else those of a model that was trained before, else the
data's statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nas.data.images import CHUNK
from nas.data.letterbox import Letterbox, Resizer
from nas.data.resizing import Resizing
from nas.data.spec import DataSpec
from nas.errors import DataError
from nas.preprocessing import DATA, GIVEN, MODEL, ImageSize, Preprocessing, shown_size, sides


def check_constants(spec: DataSpec, channels: int) -> None:
    """Raises `DataError` for constants of the spec that images of so many channels cannot be normalised with."""
    for name in ("mean", "std"):
        values = spec.constants.get(name, ())
        if len(values) not in (0, 1, channels):
            one = "one value" if channels == 1 else f"one value, or {channels}"
            raise DataError(
                f"data.{name}: {len(values)} values, but the images have {channels} channels; needed: {one}"
            )


def resizing(spec: DataSpec, model: Preprocessing | None, size: ImageSize, *, annotated: bool) -> Resizer:
    """How images get their size. Raises `DataError` for what images with classes, or annotated ones, cannot have."""
    if annotated:
        unread = [name for name in ("crop_pct", "interpolation") if getattr(spec, name) is not None]
        if unread:
            raise DataError(f"data.{unread[0]}: not read with annotated pictures, of which nothing is cut off")
        return Letterbox(*sides(size))
    if not isinstance(size, int):
        raise DataError(
            f"data.image_size: {shown_size(size)} pixels; of images with classes: one number, the side of a square"
        )
    known = {**_of_model(model), **spec.constants}
    names = ("crop_pct", "interpolation", "crop_mode")
    return Resizing(size, **{name: known[name] for name in names if name in known})


def preprocessing(
    spec: DataSpec, model: Preprocessing | None, channels: int, images: Callable[[], Tensor]
) -> Preprocessing:
    """The constants in force, and where they are from. `images`: asked for the training split, or a sample of it
    (resized, uint8, N x C x H x W), where its statistics are needed.
    """
    known, sources = {**_of_model(model), **spec.constants}, [] if model is None else [MODEL]
    if not {"mean", "std"} <= known.keys():
        known, sources = {**statistics(images()), **known}, [DATA]
    if spec.constants:
        sources.append(GIVEN)
    return Preprocessing(**{**known, "source": " + ".join(sources)}).for_channels(channels)


def statistics(images_NCHW: Tensor) -> dict[str, Any]:
    """Mean and deviation per channel, pixels in 0 ... 1. Exact sums in int64, in chunks, so that a mapped file is read
    once.
    """
    total = torch.zeros(images_NCHW.shape[1], dtype=torch.int64)
    squares = torch.zeros_like(total)
    for chunk in torch.split(images_NCHW, CHUNK):
        values = chunk.to(torch.int64)
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    pixels = images_NCHW.numel() // images_NCHW.shape[1]
    mean = total.double() / pixels
    std = (squares.double() / pixels - mean.square()).clamp_min(0).sqrt()
    std = torch.where(std > 0, std, 255.0)  # a channel of one value carries nothing: shift it, do not divide by zero
    return {"mean": tuple((mean / 255).tolist()), "std": tuple((std / 255).tolist())}


def _of_model(model: Preprocessing | None) -> dict[str, Any]:
    return {} if model is None else dict(vars(model))
