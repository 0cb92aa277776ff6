"""Images in one .npz file, in the layout of MedMNIST: train_images, train_labels, test_images, test_labels and,
optionally, val_images, val_labels.
"""

from __future__ import annotations

import math
import os
import zipfile
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

from nas.data.images import Images, Pixels, square
from nas.data.resizing import Resizing
from nas.data.source import Labelled, Source, class_names, labelled
from nas.errors import DataError

NEEDED = ("train_images", "train_labels", "test_images", "test_labels")
VALIDATION = ("val_images", "val_labels")
RATIO = 1032
"""How many times larger than its compressed form an archive's content can be at most: deflate's own bound."""


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
    def read(self, indices: NDArray[np.int64], resizing: Resizing, into: Tensor) -> Mapping[int, str]:
        try:
            return Pixels(_array(self.path, self.key)).read(indices, resizing, into)
        except DataError as refusal:
            raise DataError(f"{self.path}: {self.key}: {refusal}") from None

    @override
    def share(self) -> None:
        assert len(self._pixels) == len(self)

    @cached_property
    def _pixels(self) -> Pixels:
        """Kept, for whoever asks for one picture after the other."""
        return Pixels(_array(self.path, self.key))

    def __reduce__(self) -> tuple[Any, ...]:
        return Archived, (self.path, self.key, self.shape)


def read(path: Path) -> Source:
    """Looks into the file: labels, and the shapes of the images. Nothing is unpickled. `DataError` names the file,
    keys found and keys needed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            keys = sorted(name.removesuffix(".npy") for name in archive.namelist())
    except Exception as fault:  # of damaged archives: zipfile raises anything
        raise _damaged(path, fault) from None
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
    shape, dtype = _header(path, key)
    grey, coloured = len(shape) == 3, len(shape) == 4 and shape[3] in (1, 3)
    if dtype != np.uint8 or not (grey or coloured) or 0 in shape[1:]:
        raise DataError(f"{path}: {key} is {dtype} of shape {shape}; needed: uint8, N x H x W or N x H x W x 3")
    return labelled(Archived(path, key, shape), _array(path, f"{split}_labels"), f"{path}: {split}_labels")


def _header(path: Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of the file, without its content. Raises `DataError` where they are not those of the
    bytes that are there: so nobody allocates what a header merely claims.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(stream)
            member = archive.getinfo(f"{key}.npy")
            content = member.file_size - stream.tell()
    except Exception as fault:  # of damaged headers: numpy parses them as Python, and raises anything
        raise _damaged(path, fault) from None
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed != content or member.file_size > RATIO * member.compress_size:
        raise DataError(
            f"{path}: not a readable .npz file ({key} claims the shape {_shown(shape)} of {dtype}, which its "
            f"{content:,} bytes do not hold)"
        )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if claimed > memory:
        raise DataError(
            f"{path}: {key} takes {claimed / 2**30:,.1f} GB, this machine has {memory / 2**30:,.1f}; "
            "images in class folders need less at a time"
        )
    return tuple(shape), dtype


def _array(path: Path, key: str) -> NDArray[Any]:
    _, dtype = _header(path, key)
    if dtype.hasobject:
        raise _damaged(path, TypeError(f"{key} holds Python objects, which are never loaded"))
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[key]
            return array
    except Exception as fault:  # as above
        raise _damaged(path, fault) from None


def _shown(shape: tuple[int, ...]) -> str:
    text = " x ".join(map(str, shape))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _damaged(path: Path, fault: Exception) -> DataError:
    reason = (str(fault).splitlines() or [""])[0][:120]
    return DataError(
        f"{path}: not a readable .npz file ({type(fault).__name__}: {reason}); it may be truncated. "
        f"Needed: {', '.join(NEEDED)}"
    )
