"""Images in one .npz file, in the layout of MedMNIST: train_images, train_labels, test_images, test_labels and,
optionally, val_images, val_labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from typing_extensions import override

from nas.data import archive
from nas.data.images import Images, Pixels, square
from nas.data.letterbox import Resizer
from nas.data.source import Labelled, Source, class_names, labelled
from nas.errors import DataError

NEEDED = ("train_images", "train_labels", "test_images", "test_labels")
VALIDATION = ("val_images", "val_labels")


@final
@dataclass(frozen=True)
class Archived(Images):
    """Images in the file under `key`: of their `shape` (N x H x W, or N x H x W x C) only the header has been read."""

    path: Path
    key: str
    shape: tuple[int, ...]

    @property
    @override
    def channels(self) -> int:
        return 1 if len(self.shape) == 3 else self.shape[3]

    def __len__(self) -> int:
        return self.shape[0]

    @override
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        return square(self.shape)

    @override
    def name(self, index: int) -> str:
        return f"{self.path}: {self.key}[{index}]"

    @override
    def picture(self, index: int) -> Image.Image:
        return self._pixels.picture(index)

    @override
    def read(self, indices: NDArray[np.int64], resizing: Resizer, into: Tensor) -> Mapping[int, str]:
        try:
            return Pixels(archive.array(self.path, self.key)).read(indices, resizing, into)
        except DataError as refusal:
            raise DataError(f"{self.path}: {self.key}: {refusal}") from None

    @override
    def share(self) -> None:
        assert len(self._pixels) == len(self)

    @cached_property
    def _pixels(self) -> Pixels:
        """Kept, for whoever asks for one picture after the other."""
        return Pixels(archive.array(self.path, self.key))

    def __reduce__(self) -> tuple[Any, ...]:
        return Archived, (self.path, self.key, self.shape)


def read(path: Path) -> Source:
    """Labels, and the shapes of the images. `DataError` names the file, keys found and keys needed."""
    keys = archive.keys(path)
    needed = (*NEEDED, *VALIDATION) if set(VALIDATION) & set(keys) else NEEDED
    missing = [key for key in needed if key not in keys]
    if missing:
        raise DataError(
            f"{path}: lacks {', '.join(missing)}; found: {', '.join(keys[:12]) or 'nothing'}; "
            f"needed: {', '.join(needed)}"
        )
    train, test = _split(path, "train"), _split(path, "test")
    validation = _split(path, "val") if VALIDATION[0] in keys else None
    classes = class_names(train.labels, f"{path}: train_labels")
    foreign = [key for key in keys if key not in needed]
    notes = (f"{path.name}: left out, since no such keys are known: {', '.join(foreign[:8])}",) if foreign else ()
    return Source(path.stem, classes, train, validation, test, notes)


def _split(path: Path, split: str) -> Labelled:
    key = f"{split}_images"
    shape, dtype = archive.header(path, key)
    grey, coloured = len(shape) == 3, len(shape) == 4 and shape[3] in (1, 3)
    if dtype != np.uint8 or not (grey or coloured) or 0 in shape[1:]:
        raise DataError(f"{path}: {key} is {dtype} of shape {shape}; needed: uint8, N x H x W or N x H x W x 3")
    return labelled(Archived(path, key, shape), archive.array(path, f"{split}_labels"), f"{path}: {split}_labels")
