"""Images in one .npz file, in the layout of MedMNIST: train_images, train_labels, test_images, test_labels and,
optionally, val_images, val_labels.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from nas.data.images import Images, Pixels, square
from nas.data.source import Labelled, Source, class_names, labelled
from nas.errors import DataError

NEEDED = ("train_images", "train_labels", "test_images", "test_labels")
DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, NotImplementedError)


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
    def read(self, indices: NDArray[np.int64], size: int) -> Tensor:
        return Pixels(_array(self.path, self.key)).read(indices, size)


def read(path: Path) -> Source:
    """Looks into the file: labels, and the shapes of the images. Nothing is unpickled. `DataError` names the file,
    keys found and keys needed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            keys = sorted(name.removesuffix(".npy") for name in archive.namelist())
    except DAMAGED as fault:
        raise _damaged(path, fault) from None
    missing = [key for key in NEEDED if key not in keys]
    if missing:
        raise DataError(
            f"{path}: lacks {', '.join(missing)}; found: {', '.join(keys) or 'nothing'}; needed: {', '.join(NEEDED)}"
        )
    train, test = _split(path, "train"), _split(path, "test")
    validation = _split(path, "val") if {"val_images", "val_labels"} <= set(keys) else None
    return Source(path.stem, class_names(train.labels, f"{path}: train_labels"), train, validation, test)


def _split(path: Path, split: str) -> Labelled:
    key = f"{split}_images"
    shape, dtype = _header(path, key)
    if dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
        raise DataError(f"{path}: {key} is {dtype} of shape {shape}; needed: uint8, N x H x W or N x H x W x 3")
    return labelled(Archived(path, key, shape), _array(path, f"{split}_labels"), f"{path}: {split}_labels")


def _header(path: Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of the file, without its content."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(stream)
            return tuple(shape), dtype
    except DAMAGED as fault:
        raise _damaged(path, fault) from None


def _array(path: Path, key: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[key]
            return array
    except DAMAGED as fault:
        raise _damaged(path, fault) from None


def _damaged(path: Path, fault: BaseException) -> DataError:
    return DataError(
        f"{path}: not a readable .npz file ({type(fault).__name__}: {fault}); it may be truncated. "
        f"Needed: {', '.join(NEEDED)}"
    )
