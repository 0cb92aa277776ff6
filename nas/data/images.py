"""Images before they become a split: an array of pixels, or pictures that are still to be decoded, both read into one
uint8 tensor.

Everything is decoded and resized once, when it is loaded, rather than by loader processes in every epoch: a search
looks at the same validation images hundreds of times, and one tensor has one order. What exceeds `IN_MEMORY` bytes is
kept in a temporary file that is mapped into memory.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from typing_extensions import override

from nas.data.decoding import opened, rgb
from nas.data.resizing import Resizing
from nas.errors import DataError

IN_MEMORY = 2 * 2**30
CHUNK, PICTURES = 1024, 16  # images that are resized together, pictures that a thread decodes in one go
BIG = 2**25  # pixels of pictures that are decoded one at a time, since each takes hundreds of megabytes
NAMED = 20  # unreadable pictures that a message names


@final
class UnreadablePicturesError(DataError):
    """Pictures that cannot be read: all of them at once, each with the reason."""

    def __init__(self, reasons: Sequence[tuple[str, str]]) -> None:
        self.reasons = tuple(reasons)
        count = len(self.reasons)
        rest = f"; and {count - NAMED} more" if count > NAMED else ""
        named = "; ".join(f"{name}: not a readable picture ({reason})" for name, reason in self.reasons[:NAMED])
        these = "it" if count == 1 else f"these {count}"
        super().__init__(f"{named}{rest}; remove or replace {these}")


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
    def read(self, indices: NDArray[np.int64], resizing: Resizing) -> Tensor:
        """The images at `indices`, resized: uint8, N x C x size x size. `DataError` names all that cannot be read."""


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
    def read(self, indices: NDArray[np.int64], resizing: Resizing) -> Tensor:
        images_NCHW = _allocate((len(indices), self.channels, resizing.size, resizing.size))
        for start in range(0, len(indices), CHUNK):
            chunk = self.array[indices[start : start + CHUNK]]
            chunk = chunk[:, None] if chunk.ndim == 3 else np.moveaxis(chunk, 3, 1)
            images_NCHW[start : start + CHUNK] = resizing(torch.from_numpy(np.ascontiguousarray(chunk)))
        return images_NCHW


@final
@dataclass(frozen=True)
class Pictures(Images):
    """Picture files of any size, decoded to RGB by a pool of threads (PIL decodes outside Python's lock)."""

    files: Sequence[Path]

    @property
    @override
    def channels(self) -> int:
        return 3

    def __len__(self) -> int:
        return len(self.files)

    @override
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        sides: set[int] = set()
        for index in indices:
            with contextlib.suppress(Exception), opened(self.files[index]) as picture:  # `read` names what is damaged
                sides |= set(picture.size)
        return sides.pop() if len(sides) == 1 else None

    @override
    def read(self, indices: NDArray[np.int64], resizing: Resizing) -> Tensor:
        images_NCHW = _allocate((len(indices), self.channels, resizing.size, resizing.size))
        unreadable: dict[int, str] = {}

        def decode(start: int) -> None:
            for n in range(start, min(start + PICTURES, len(indices))):
                try:
                    images_NCHW[n] = _decoded(self.files[indices[n]], resizing)
                except Exception as fault:  # on damaged files PIL's readers raise anything, even ZeroDivisionError
                    unreadable[n] = _reason(fault)

        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        try:
            for _ in pool.map(decode, range(0, len(indices), PICTURES)):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, what still waits is dropped
        if unreadable:
            raise UnreadablePicturesError([(str(self.files[indices[n]]), unreadable[n]) for n in sorted(unreadable)])
        return images_NCHW


_one_big_picture = threading.Lock()


def _decoded(file: Path, resizing: Resizing) -> Tensor:
    with opened(file) as picture:
        big = picture.width * picture.height > BIG
        with _one_big_picture if big else contextlib.nullcontext():
            return resizing(torch.from_numpy(rgb(picture)).permute(2, 0, 1))


def _reason(fault: Exception) -> str:
    """Why a picture cannot be read, in a few words."""
    if isinstance(fault, UnidentifiedImageError):
        return "damaged, or no picture at all"
    if isinstance(fault, Image.DecompressionBombError):
        return f"{str(fault).partition(',')[0]}; make it smaller"
    if isinstance(fault, MemoryError):
        return "it does not fit into memory"
    return (str(fault).splitlines() or [""])[0] or type(fault).__name__


def square(shape_NHWC: tuple[int, ...]) -> int | None:
    """Side of images of this shape (N x H x W, or N x H x W x C), None when they are not square."""
    return int(shape_NHWC[1]) if shape_NHWC[1] == shape_NHWC[2] else None


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
