"""Arrays in .npz files, read with nothing unpickled, and nothing allocated that a header merely claims."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError

RATIO = 1032
"""How many times larger than its compressed form an archive's content can be at most: deflate's own bound."""


def keys(path: Path) -> list[str]:
    """Names of the arrays, sorted. This and what follows raise `DataError` for what is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(name.removesuffix(".npy") for name in archive.namelist())
    except Exception as fault:  # of damaged archives: zipfile raises anything
        raise damaged(path, fault) from None


def header(path: Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of the file, without its content. Raises `DataError` where they are not those of the
    bytes that are there.
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
        raise damaged(path, fault) from None
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


def array(path: Path, key: str) -> NDArray[Any]:
    """An array of the file."""
    _, dtype = header(path, key)
    if dtype.hasobject:
        raise damaged(path, TypeError(f"{key} holds Python objects, which are never loaded"))
    try:
        with np.load(path, allow_pickle=False) as archive:
            content: NDArray[Any] = archive[key]
            return content
    except Exception as fault:  # as above
        raise damaged(path, fault) from None


def damaged(path: Path, fault: Exception) -> DataError:
    """What to raise for a file that cannot be read."""
    reason = (str(fault).splitlines() or [""])[0][:120]
    return DataError(f"{path}: not a readable .npz file ({type(fault).__name__}: {reason}); it may be truncated")


def _shown(shape: tuple[int, ...]) -> str:
    text = " x ".join(map(str, shape))
    return text if len(text) <= 60 else f"{text[:57]}..."
