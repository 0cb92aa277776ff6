"""Pictures in Parquet files: they are compressed in groups of rows, and for one picture its whole group is read.

In order that costs nothing, since neighbours share a group that is kept. Shuffled, every picture reads a group anew:
with 100 rows in each, of 50 kB, it takes 3.7 times as long as from a file of its own, with 1,000 rows 13 times
(`benchmarks/row_groups.py`). To keep more groups would help small sets alone, and those are held as a whole.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nas.data.columns import PictureColumn, pictures_of
from nas.data.loader import free_memory
from nas.errors import DataError

KEPT = 2
"""Groups that a process keeps, of some megabytes each: pictures that are read in order share them."""
_one_at_a_time = threading.Lock()
"""Threads that decode in order want the same group. It is free wherever processes are forked."""


class _Groups(NamedTuple):
    """The groups of a file: the number of the first row of each, and of the one after the last."""

    metadata: pq.FileMetaData
    column: PictureColumn
    firsts: NDArray[np.int64]


def picture(path: Path, changed: int, row: int) -> bytes:
    """The encoded picture in a row of a file, which was changed last at that time: what is kept of it is that file's.
    Raises `DataError` where it has none, and whatever Arrow raises.
    """
    with _one_at_a_time:
        groups = _groups(path, changed)
        group = int(np.searchsorted(groups.firsts, row, "right")) - 1
        if not 0 <= group < len(groups.firsts) - 1:
            raise DataError("the file has fewer rows")
        content = _pictures(path, changed, group)
    encoded = content[row - int(groups.firsts[group])].as_py()
    if encoded is None:
        raise DataError("it lies elsewhere: its row holds no bytes")
    return bytes(encoded)


@lru_cache(maxsize=512)
def _groups(path: Path, changed: int) -> _Groups:  # noqa: ARG001  (by which it is kept)
    with pq.ParquetFile(path) as file:
        metadata, column = file.metadata, pictures_of(file.schema_arrow, str(path))
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return _Groups(metadata, column, np.cumsum([0, *counts]))


@lru_cache(maxsize=KEPT)
def _pictures(path: Path, changed: int, group: int) -> pa.Array:
    """The pictures of a group. Threads of Arrow's own would not survive in a worker."""
    metadata, column, _ = _groups(path, changed)
    size, free = metadata.row_group(group).total_byte_size, free_memory()
    if size > free:
        raise DataError(f"its group of rows takes {size / 2**30:.1f} GB, and {free / 2**30:.1f} GB of memory are free")
    with pq.ParquetFile(path, metadata=metadata) as file:
        table = file.read_row_group(group, columns=[column.path], use_threads=False)
    return column.of(table[column.name].combine_chunks())
