"""Images before they become a split: an array of pixels, or pictures that are still to be decoded.

A split that is held reads all of them into one uint8 tensor, once: a search looks at the same validation images
hundreds of times, and one tensor has one order. A split that streams asks for one picture after the other.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional as vision
from typing_extensions import override

from nas.data.decoding import opened, rgb
from nas.data.letterbox import Resizer
from nas.errors import DataError

CHUNK, PICTURES = 1024, 16  # images that are resized together, pictures that a thread decodes in one go
BIG = 2**25  # pixels of pictures that are decoded one at a time, since each takes hundreds of megabytes
NAMED = 5  # unreadable pictures that a message names


@final
class UnreadablePicturesError(DataError):
    """Pictures that cannot be read: all of them at once, each with the reason."""

    def __init__(self, reasons: Sequence[tuple[str, str]]) -> None:
        count = len(reasons)
        rest = f"; and {count - NAMED} more" if count > NAMED else ""
        named = "; ".join(f"{name}: not a readable picture ({reason})" for name, reason in reasons[:NAMED])
        these = "it" if count == 1 else f"these {count}"
        super().__init__(f"{named}{rest}; remove or replace {these}, or use others in their place: data.on_error: skip")


class Images(ABC):
    """N images of any size."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """What an image is called in messages: its file, and where in it."""

    @abstractmethod
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        """Side in pixels of the images at `indices` where they are squares of one size, else None."""

    @abstractmethod
    def picture(self, index: int) -> Image.Image:
        """One image, decoded, of mode L or RGB. On damaged files PIL's readers raise anything; see `reason`."""

    @abstractmethod
    def read(self, indices: NDArray[np.int64], resizing: Resizer, into: Tensor) -> Mapping[int, str]:
        """Writes the images at `indices`, resized, to `into` (uint8, N x C x height x width).

        Returns the rows of those that cannot be read, each with the reason.
        """

    def share(self) -> None:  # noqa: B027  (most have nothing)
        """Loads what processes that are forked from now on may have in common."""


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
    def name(self, index: int) -> str:
        return f"image {index}"

    @override
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        return square(self.array.shape)

    @override
    def picture(self, index: int) -> Image.Image:
        pixels = self.array[index]
        return Image.fromarray(pixels[:, :, 0] if self.array.ndim == 4 and self.channels == 1 else pixels)

    @override
    def read(self, indices: NDArray[np.int64], resizing: Resizer, into: Tensor) -> Mapping[int, str]:
        for start in range(0, len(indices), CHUNK):
            chunk = self.array[indices[start : start + CHUNK]]
            chunk = chunk[:, None] if chunk.ndim == 3 else np.moveaxis(chunk, 3, 1)
            into[start : start + CHUNK] = resizing(torch.from_numpy(np.ascontiguousarray(chunk)))
        return {}


class Encoded(Images):
    """Pictures of any size, each decoded to RGB when it is asked for; many of them by a pool of threads (PIL decodes
    outside Python's lock).
    """

    @abstractmethod
    def opened(self, index: int) -> Image.Image:
        """One picture, its size known and its pixels still undecoded. Raises whatever PIL raises."""

    @property
    @override
    def channels(self) -> int:
        return 3

    @override
    def native_size(self, indices: NDArray[np.int64]) -> int | None:
        sides: set[int] = set()
        for index in np.sort(indices).tolist():  # in the order in which they lie there
            with contextlib.suppress(Exception), self.opened(index) as picture:  # `read` names what is damaged
                sides |= set(picture.size)
        return sides.pop() if len(sides) == 1 else None

    @override
    def picture(self, index: int) -> Image.Image:
        with self.opened(index) as picture:
            return rgb(picture)

    @override
    def read(self, indices: NDArray[np.int64], resizing: Resizer, into: Tensor) -> Mapping[int, str]:
        unreadable: dict[int, str] = {}

        def decode(start: int) -> None:
            for row in range(start, min(start + PICTURES, len(indices))):
                try:
                    into[row] = self._resized(int(indices[row]), resizing)
                except Exception as fault:  # see `picture`
                    unreadable[row] = reason(fault)

        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        try:
            for _ in pool.map(decode, range(0, len(indices), PICTURES)):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, what still waits is dropped
        return dict(sorted(unreadable.items()))

    def _resized(self, index: int, resizing: Resizer) -> Tensor:
        with self.opened(index) as picture:
            big = picture.width * picture.height > BIG
            with _one_big_picture if big else contextlib.nullcontext():
                return resizing(vision.pil_to_tensor(rgb(picture)))


_one_big_picture = threading.Lock()


@final
@dataclass(frozen=True)
class Pictures(Encoded):
    """Picture files."""

    files: Sequence[Path]

    def __len__(self) -> int:
        return len(self.files)

    @override
    def name(self, index: int) -> str:
        return str(self.files[index])

    @override
    def opened(self, index: int) -> Image.Image:
        return opened(self.files[index])


def reason(fault: Exception) -> str:
    """Why a picture cannot be read, in a few words."""
    if isinstance(fault, UnidentifiedImageError):
        return "damaged, or no picture at all"
    if isinstance(fault, Image.DecompressionBombError):
        return f"{str(fault).partition(',')[0]}; make it smaller"
    if isinstance(fault, MemoryError):
        return "it does not fit into memory"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return (str(fault).splitlines() or [""])[0] or type(fault).__name__


def square(shape_NHWC: tuple[int, ...]) -> int | None:
    """Side of images of this shape (N x H x W, or N x H x W x C), None when they are not square."""
    return int(shape_NHWC[1]) if shape_NHWC[1] == shape_NHWC[2] else None
