"""Images before they become a split: an array of pixels, or pictures that are still to be decoded, both read into one
uint8 tensor.

Everything is decoded and resized once, when it is loaded, rather than by loader processes in every epoch: a search
looks at the same validation images hundreds of times, and one tensor has one order. What exceeds `IN_MEMORY` bytes is
kept in a temporary file that is mapped into memory.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional as vision
from typing_extensions import override

from nas.errors import DataError

IN_MEMORY = 2 * 2**30
CHUNK, PICTURES = 1024, 16  # images that are resized together, pictures that a thread decodes in one go
DAMAGED = (UnidentifiedImageError, OSError, ValueError, SyntaxError)
"""What PIL raises for damaged files."""
T = TypeVar("T")


class Images(ABC):
    """N images of any size."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        """Side in pixels of the images at `indices` where they are squares of one size, else None."""

    @abstractmethod
    def read(self, indices: NDArray[np.int64], size: int) -> Tensor:
        """The images at `indices`: uint8, N x C x size x size; the shorter side is resized to `size` (antialiased
        bilinear), the middle is kept.
        """


@final
@dataclass(frozen=True)
class Pixels(Images):
    """Images of one size in memory: uint8, N x H x W (grey) or N x H x W x C."""

    array: NDArray[np.uint8]

    def __post_init__(self) -> None:
        assert self.array.dtype == np.uint8
        assert self.array.ndim in (3, 4)

    @property
    @override
    def channels(self) -> int:
        return 1 if self.array.ndim == 3 else int(self.array.shape[3])

    def __len__(self) -> int:
        return len(self.array)

    @override
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        return square(self.array.shape)

    @override
    def read(self, indices: NDArray[np.int64], size: int) -> Tensor:
        images_NCHW = _allocate((len(indices), self.channels, size, size))
        for start in range(0, len(indices), CHUNK):
            chunk = self.array[indices[start : start + CHUNK]]
            chunk = chunk[:, None] if chunk.ndim == 3 else np.moveaxis(chunk, 3, 1)
            images_NCHW[start : start + CHUNK] = _resized(torch.from_numpy(np.ascontiguousarray(chunk)), size)
        return images_NCHW


@final
@dataclass(frozen=True)
class Pictures(Images):
    """Pictures of any size that `open(i)` opens, decoded to RGB by a pool of threads (PIL decodes outside Python's
    lock).
    """

    open: Callable[[int], Image.Image]
    name: Callable[[int], str]
    n: int

    @property
    @override
    def channels(self) -> int:
        return 3

    def __len__(self) -> int:
        return self.n

    @override
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        sides = {side for index in indices for side in self._opened(int(index), lambda picture: picture.size)}
        return sides.pop() if len(sides) == 1 else None

    @override
    def read(self, indices: NDArray[np.int64], size: int) -> Tensor:
        images_NCHW = _allocate((len(indices), self.channels, size, size))

        def decode(start: int) -> None:
            for n in range(start, min(start + PICTURES, len(indices))):
                images_NCHW[n] = self._decode(int(indices[n]), size)

        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        try:
            for _ in pool.map(decode, range(0, len(indices), PICTURES)):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, or a damaged file, what still waits is dropped
        return images_NCHW

    def _decode(self, index: int, size: int) -> Tensor:
        rgb_HWC = self._opened(index, lambda picture: np.array(picture.convert("RGB")))
        return _resized(torch.from_numpy(rgb_HWC).permute(2, 0, 1), size)

    def _opened(self, index: int, look: Callable[[Image.Image], T]) -> T:
        try:
            with self.open(index) as picture:
                return look(picture)
        except DAMAGED as fault:
            raise DataError(f"{self.name(index)}: not a readable picture ({fault}); remove or replace it") from None


def square(shape_NHWC: tuple[int, ...]) -> int | None:
    """Side of images of this shape (N x H x W, or N x H x W x C), None when they are not square."""
    return int(shape_NHWC[1]) if shape_NHWC[1] == shape_NHWC[2] else None


def _resized(images_CHW: Tensor, size: int) -> Tensor:
    """Shorter side to `size`, middle kept; (..., C, H, W) -> (..., C, size, size), still uint8."""
    if images_CHW.shape[-2:] == (size, size):
        return images_CHW
    resized: Tensor = vision.resize(images_CHW, [size], antialias=True)
    cropped: Tensor = vision.center_crop(resized, [size, size])
    return cropped


def _allocate(shape: tuple[int, ...]) -> Tensor:
    """An empty uint8 tensor, in memory or, when it is large, in an unnamed temporary file."""
    size = int(np.prod(shape))
    if size <= IN_MEMORY:
        return torch.empty(shape, dtype=torch.uint8)
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if free < size:  # a mapped file on a full disk would kill the process instead of raising
        raise DataError(
            f"{shape[0]} images at {shape[-1]} pixels take {size / 2**30:.1f} GB, "
            f"and {folder} has {free / 2**30:.1f} GB left; "
            "set TMPDIR to a larger disk, or choose a smaller image_size or train_images"
        )
    with tempfile.TemporaryFile() as file:  # the mapping keeps the file alive, and no name is left behind
        mapped: np.memmap[Any, Any] = np.memmap(file, np.uint8, "w+", shape=shape)
    return torch.from_numpy(mapped)
