"""Where the resized images of a split are: in memory, in a file that is mapped into it, or nowhere."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.data.loader import free_memory
from nas.data.spec import Cache
from nas.errors import DataError

IN_MEMORY = 2 * 2**30
"""Bytes of a split that `auto` holds."""
Shape = tuple[int, int, int, int]
"""N, C, H, W."""


def resolved(cache: Cache, shape: Shape) -> Cache:
    """What `auto` means for a split of this shape."""
    return cache if cache != "auto" else "memory" if math.prod(shape) <= IN_MEMORY else "none"


def allocated(cache: Cache, shape: Shape) -> Tensor:
    """An empty uint8 tensor, in memory or in an unnamed temporary file. Raises `DataError` where there is no room."""
    return _in_memory(shape) if cache == "memory" else _on_disk(shape)


def _in_memory(shape: Shape) -> Tensor:
    size, free = math.prod(shape), free_memory()
    if size > free:
        raise DataError(
            f"data.cache: memory: {_said(shape)}, and {free / 2**30:.1f} GB of memory are free; allowed: disk, or none"
        )
    return torch.empty(shape, dtype=torch.uint8)


def _on_disk(shape: Shape) -> Tensor:
    size, folder = math.prod(shape), Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if free < size:  # a mapped file on a full disk would kill the process instead of raising
        raise DataError(
            f"data.cache: disk: {_said(shape)}, and {folder} has {free / 2**30:.1f} GB left; set TMPDIR to a larger "
            "disk, or choose data.cache: none"
        )
    if not size:  # which cannot be mapped
        return torch.empty(shape, dtype=torch.uint8)
    with tempfile.TemporaryFile() as file:  # the mapping keeps the file alive, and no name is left behind
        mapped: np.memmap[Any, Any] = np.memmap(file, np.uint8, "w+", shape=shape)
    return torch.from_numpy(mapped)


def _said(shape: Shape) -> str:
    return f"{shape[0]} images at {shape[-1]} pixels take {math.prod(shape) / 2**30:.1f} GB"
