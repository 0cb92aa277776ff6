"""Data sets of Hugging Face's library on a disk: Arrow files as `save_to_disk` leaves them, Parquet files as they lie
in a repository. That library is not needed, and nothing is fetched.

Pictures of an Arrow file are read in place, by where they are in it. Those of a Parquet file are compressed in groups
of rows: for a picture its group is read, see `nas.data.row_groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nas.data.columns import LabelColumn, labels_of, pictures_of
from nas.data.listing import EntriesBuilder, Listing
from nas.data.readers import _shards
from nas.data.readers._walk import File, Walk
from nas.data.source import class_names
from nas.data.spec import DataSpec
from nas.errors import DataError

END = bytes(4)
"""With what a stream of Arrow ends that was closed."""


class _Rows(NamedTuple):
    """The rows of a file: where their pictures are (see `nas.data.listing.Entries`), their classes, as numbers or
    names, and what the file says that numbers are called.
    """

    offsets: Sequence[int]
    sizes: Sequence[int]
    labels: Sequence[int | str]
    classes: Sequence[str] | None


def arrow(walk: Walk, spec: DataSpec, shards: Mapping[str, Sequence[File]]) -> Listing:
    """The pictures of Arrow files. Raises `DataError` for a file that is damaged, or lacks pictures or classes."""
    return _listing(walk, spec, shards, "arrow", _arrow_rows)


def parquet(walk: Walk, spec: DataSpec, shards: Mapping[str, Sequence[File]]) -> Listing:
    """The pictures of Parquet files. Raises as `arrow` does."""
    return _listing(walk, spec, shards, "parquet", _parquet_rows)


def _listing(
    walk: Walk,
    spec: DataSpec,
    shards: Mapping[str, Sequence[File]],
    kind: str,
    read: Callable[[Path, DataSpec], _Rows],
) -> Listing:
    rows: dict[str, list[tuple[int, _Rows]]] = {}
    for role, files in shards.items():
        for file in files:
            position = walk.position(file.path)  # noted before it is read
            rows.setdefault(role, []).append((position, _checked(walk.root / file.path, spec, read)))
    classes = _classes([some for _, some in rows.get("train", ())], str(walk.root))
    numbers = {name: number for number, name in enumerate(classes)}
    splits: dict[str, EntriesBuilder] = {}
    for role, of_role in rows.items():
        pictures = splits[role] = EntriesBuilder()
        for position, some in of_role:
            for row, (offset, size, label) in enumerate(zip(some.offsets, some.sizes, some.labels, strict=True)):
                number = numbers.get(label, -1) if isinstance(label, str) else label
                pictures.add(position, f"row {row}", number, size=size, offset=offset)
    return _shards.assembled(walk, spec, kind, splits, classes)


def _classes(train: Sequence[_Rows], where: str) -> tuple[str, ...]:
    """The names that the files say, else those that they hold, else numbers."""
    said = next((some.classes for some in train if some.classes), None)
    labels = {label for some in train for label in some.labels}
    names = {label for label in labels if isinstance(label, str)}
    if names:
        return tuple(sorted(names))
    return tuple(said) if said else class_names(np.array(sorted(labels), np.int64), where)


def _checked(path: Path, spec: DataSpec, read: Callable[[Path, DataSpec], _Rows]) -> _Rows:
    try:
        return read(path, spec)
    except (pa.ArrowException, OSError, ValueError, KeyError) as fault:
        reason = (str(fault).splitlines() or [""])[0][:120]
        raise DataError(f"{path}: cut short, or damaged ({reason}); fetch it again") from None


def _arrow_rows(path: Path, spec: DataSpec) -> _Rows:
    """By the addresses of the pictures in the file that is mapped into memory: nothing of them is read."""
    with pa.memory_map(str(path)) as file:
        whole = file.read_buffer(file.size())
    file_format = whole[:6].to_pybytes() == b"ARROW1"
    if not file_format and whole[-len(END) :].to_pybytes() != END:
        raise DataError(f"{path}: cut short: it does not end as Arrow files do; fetch it again")
    stream = pa.BufferReader(whole)
    table = (pa.ipc.open_file(stream) if file_format else pa.ipc.open_stream(stream)).read_all()
    table.validate(full=True)
    pictures, labels = pictures_of(table.schema, str(path)), labels_of(table.schema, spec.target_key, str(path))
    offsets, sizes = [], []
    for chunk in table[pictures.name].chunks:
        starts, lengths = _places(pictures.of(chunk), whole, path)
        offsets += starts.tolist()
        sizes += lengths.tolist()
    return _Rows(offsets, sizes, _plain(table, labels, path), labels.classes)


def _places(content: pa.Array, whole: pa.Buffer, path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the bytes of each row begin in the file, and how many they are."""
    if content.null_count:
        raise DataError(f"{path}: {content.null_count} rows name a picture that lies elsewhere; save them with it")
    _, bounds, data = content.buffers()
    if not len(content) or data is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    width = np.int64 if pa.types.is_large_binary(content.type) else np.int32
    ends = np.frombuffer(bounds, width)[content.offset : content.offset + len(content) + 1].astype(np.int64)
    start = data.address - whole.address
    if not 0 <= start <= start + int(ends[-1]) <= whole.size:
        raise DataError(f"{path}: it is compressed as a whole; write it without, or as Parquet")
    return start + ends[:-1], np.diff(ends)


def _parquet_rows(path: Path, spec: DataSpec) -> _Rows:
    """By the number of the row: of the pictures, nothing is read."""
    with pq.ParquetFile(path) as file:
        pictures_of(file.schema_arrow, str(path))
        labels = labels_of(file.schema_arrow, spec.target_key, str(path))
        table = file.read(columns=[labels.name], use_threads=False)
    return _Rows(range(len(table)), [0] * len(table), _plain(table, labels, path), labels.classes)


def _plain(table: pa.Table, labels: LabelColumn, path: Path) -> Sequence[int | str]:
    column = table[labels.name]
    if column.null_count:
        raise DataError(f"{path}: {column.null_count} rows have no {labels.name}")
    plain: list[int | str] = column.to_pylist()
    return plain
