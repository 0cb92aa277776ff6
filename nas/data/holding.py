"""Reads the splits that are held, each into one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from nas.data import cache, skipped
from nas.data.cache import Room, Shelf
from nas.data.images import UnreadablePicturesError
from nas.data.letterbox import Resizer
from nas.data.set_aside import ImageIndices
from nas.data.source import Labelled
from nas.data.spec import DataSpec
from nas.errors import DataError

SAMPLE = 4096
"""Pictures of a split that is not held by which its statistics are estimated."""


@final
class SplitImages(NamedTuple):
    """A split: which images of what the data set brings."""

    of: Labelled
    indices: ImageIndices


@final
class Held(NamedTuple):
    """The images of the splits that are held (uint8, N x C x H x W), by name; all splits, with others in the place of
    what could not be read; and notes on that.
    """

    images: Mapping[str, Tensor]
    parts: Mapping[str, SplitImages]
    notes: tuple[str, ...]


def hold(parts: Mapping[str, SplitImages], spec: DataSpec, resizing: Resizer, shelf: Shelf | None = None) -> Held:
    """Raises one `DataError` for all pictures of all splits that cannot be read, unless they are to be skipped; and
    where there is no room for them, before anything is read. `shelf`: where what is held on a disk stays.
    """
    mended, reasons = dict(parts), dict[str, str]()
    with ExitStack() as stack:
        rooms: dict[str, Room] = {}
        for name, part in parts.items():
            shape = (len(part.indices), part.of.images.channels, *resizing.sides)
            if (place := cache.resolved(spec.cache, shape)) != "none":
                file = None if shelf is None else shelf.file(name, part.indices, resizing)
                rooms[name] = stack.enter_context(cache.room(place, shape, file))
        for name, room in rooms.items():
            if room.filled:
                continue
            part = parts[name]
            unreadable = part.of.images.read(part.indices, resizing, room.images)
            reasons |= {part.of.images.name(int(part.indices[row])): why for row, why in unreadable.items()}
            room.keep = not unreadable
            if unreadable and spec.on_error == "skip":
                mended[name] = _mended(part, room.images, list(unreadable))
        if reasons and spec.on_error == "stop":
            raise UnreadablePicturesError(sorted(reasons.items()))
    images = {name: room.images for name, room in rooms.items()}
    return Held(images, mended, (skipped.sentence(reasons),) if reasons else ())


def _mended(part: SplitImages, images: Tensor, unreadable: list[int]) -> SplitImages:
    """Puts the next picture that could be read, and its label, in the place of each that could not."""
    count = len(part.indices)
    readable = np.setdiff1d(np.arange(count), unreadable)
    if not len(readable):
        raise DataError(f"none of {count} pictures can be read, the first being {part.of.images.name(part.indices[0])}")
    following = readable[np.searchsorted(readable, unreadable) % len(readable)]
    images[unreadable] = images[torch.from_numpy(following)]
    indices = part.indices.copy()
    indices[unreadable] = indices[following]
    return SplitImages(part.of, indices)


def sample(part: SplitImages, resizing: Resizer) -> Tensor:
    """At most `SAMPLE` images of a split, classes in proportion; always the same ones. What cannot be read is left
    out: it is named when it is trained on.
    """
    by_class = part.indices[np.argsort(part.of.labels[part.indices], kind="stable")]
    chosen = by_class[np.linspace(0, len(by_class) - 1, min(SAMPLE, len(by_class))).round().astype(np.int64)]
    images = torch.empty(len(chosen), part.of.images.channels, *resizing.sides, dtype=torch.uint8)
    unreadable = part.of.images.read(chosen, resizing, images)
    if len(unreadable) == len(chosen):
        raise UnreadablePicturesError([(part.of.images.name(int(chosen[row])), why) for row, why in unreadable.items()])
    return images[np.setdiff1d(np.arange(len(chosen)), list(unreadable))] if unreadable else images
