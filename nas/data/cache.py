"""Where the resized images of a split are: in memory, in a file that is mapped into it, or nowhere."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.letterbox import Resizer
from nas.data.loader import free_memory
from nas.data.spec import Cache
from nas.errors import DataError
from nas.preprocessing import shown_size, size_of
from nas.system.files import replacing

IN_MEMORY = 2 * 2**30
"""Bytes of a split that `auto` holds."""
Shape = tuple[int, int, int, int]
"""N, C, H, W."""


@final
@dataclass
class Room:
    """Room for the images of a split (uint8, N x C x H x W): empty, or `filled` by an earlier start. What is filled now
    is kept for a later one, where it has a file of its own, unless `keep` is taken back.
    """

    images: Tensor
    filled: bool = False
    keep: bool = True


@final
@dataclass(frozen=True)
class Shelf:
    """A folder in which resized images stay from start to start, and the checksum of the listing that they are of."""

    folder: Path
    checksum: str

    def file(self, split: str, indices: NDArray[np.int64], resizing: Resizer) -> Path:
        """The file of a split. Its name is a checksum over all that decides its content: other images, or images that
        are resized otherwise, have another.
        """
        about = json.dumps([self.checksum, asdict(resizing)], sort_keys=True).encode()
        digest = hashlib.sha256(about + indices.astype("<i8").tobytes()).hexdigest()
        return self.folder / f"{split}-{digest}.bin"


def resolved(cache: Cache, shape: Shape) -> Cache:
    """What `auto` means for a split of this shape."""
    return cache if cache != "auto" else "memory" if math.prod(shape) <= IN_MEMORY else "none"


@contextlib.contextmanager
def room(cache: Cache, shape: Shape, file: Path | None) -> Iterator[Room]:
    """Room in memory, in `file`, or, without one, in a file without a name. `DataError` where there is none."""
    if cache == "memory":
        yield Room(_in_memory(shape))
    elif file is None or not math.prod(shape):
        with tempfile.TemporaryFile() as unnamed:  # the mapping keeps the file alive, and no name is left behind
            yield Room(_mapped(unnamed, shape, Path(tempfile.gettempdir()), "set TMPDIR to a larger disk"))
    elif file.is_file() and file.stat().st_size == math.prod(shape):
        with file.open("rb") as there:
            yield Room(_tensor(there, shape, "c"), filled=True)
    else:
        with contextlib.suppress(_NotKeptError), replacing(file) as partial:
            with partial.open("r+b") as new:
                place = Room(_mapped(new, shape, file.parent, "have the run on a larger disk (--folder)"))
            yield place
            if not place.keep:
                raise _NotKeptError
        for other in file.parent.glob(f"{file.name.partition('-')[0]}-*.bin"):
            if other != file:
                other.unlink(missing_ok=True)  # what this split was before


class _NotKeptError(Exception):
    """A file is not to be kept; whoever has it mapped goes on to read it."""


def _in_memory(shape: Shape) -> Tensor:
    size, free = math.prod(shape), free_memory()
    if size > free:
        raise DataError(
            f"data.cache: memory: {_said(shape)}, and {free / 2**30:.1f} GB of memory are free; allowed: disk, or none"
        )
    return torch.empty(shape, dtype=torch.uint8)


def _mapped(file: IO[bytes], shape: Shape, folder: Path, remedy: str) -> Tensor:
    """All of an empty file that lies in a folder. What it takes is taken at once: a mapped file on a full disk would
    kill the process instead of raising.
    """
    size, free = math.prod(shape), shutil.disk_usage(folder).free
    if not size:  # which cannot be mapped
        return torch.empty(shape, dtype=torch.uint8)
    try:
        if free < size:
            raise OSError
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        raise DataError(
            f"data.cache: disk: {_said(shape)}, and {folder} has {free / 2**30:.1f} GB left; {remedy}, or choose "
            "data.cache: none"
        ) from None
    return _tensor(file, shape, "r+")


def _tensor(file: IO[bytes], shape: Shape, mode: Any) -> Tensor:
    mapped: np.memmap[Any, Any] = np.memmap(file, np.uint8, mode, shape=shape)
    return torch.from_numpy(mapped)


def _said(shape: Shape) -> str:
    return f"{shape[0]} images at {shown_size(size_of(*shape[-2:]))} pixels take {math.prod(shape) / 2**30:.1f} GB"
