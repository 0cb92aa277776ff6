"""A listing in a file: so a run's second start need not look through its set anew.

The file is an .npz archive of numbers and bytes; what it claims is checked before it is believed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from nas.data import archive
from nas.data.listed import KINDS
from nas.data.listing import ROLES, Container, Entries, Listing, PackedNames
from nas.errors import DataError

LARGEST = 2**31
"""Bytes of an index: that of ImageNet's 1.3 million pictures has some ten million."""
COLUMNS: Mapping[str, type[np.generic]] = {
    "container": np.int32,
    "offset": np.int64,
    "size": np.int64,
    "label": np.int32,
}
TYPES: Mapping[str, type[np.generic]] = {
    "about": np.uint8,
    "containers": np.uint8,
    "changed": np.int64,
    "sizes": np.int64,
    "names": np.uint8,
    "split": np.int8,
    **COLUMNS,
}
"""The arrays of the file, all of one dimension."""


@final
@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _About:
    """What is no array."""

    version: Literal[1]
    kind: str
    name: str
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    notes: tuple[str, ...]
    question: str
    checksum: str
    objects: str = ""


_ABOUT = TypeAdapter(_About)


def packed(listing: Listing) -> bytes:
    """The listing as the content of a file."""
    texts = (listing.kind, listing.name, listing.classes, listing.notes, listing.question)
    about = _About(1, *texts, listing.checksum, listing.objects)
    splits = list(listing.splits.items())
    roles = np.array([ROLES.index(role) for role, _ in splits], np.int8)
    arrays: dict[str, NDArray[Any]] = {
        "about": np.frombuffer(_ABOUT.dump_json(about), np.uint8),
        "containers": PackedNames.of(one.path for one in listing.containers).content,
        "changed": np.array([one.changed for one in listing.containers], np.int64),
        "sizes": np.array([one.size for one in listing.containers], np.int64),
        "names": np.concatenate([entries.name.content for _, entries in splits]),
        "split": np.repeat(roles, [len(entries) for _, entries in splits]),
    }
    for name, kind in COLUMNS.items():
        arrays[name] = np.concatenate([getattr(entries, name) for _, entries in splits]).astype(kind)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def read(path: Path) -> Listing:
    """The listing in a file. Raises `DataError` for a file that is missing, damaged, or not one of ours."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: no list of pictures: it has more than {LARGEST:,} bytes")
        arrays = {key: _array(path, key, kind) for key, kind in TYPES.items()}
        about = _ABOUT.validate_json(arrays["about"].tobytes())
    except OSError as fault:
        raise DataError(f"{path}: cannot be read ({fault.strerror or fault})") from None
    except ValidationError as fault:
        raise _damaged(path, str(fault.errors()[0]["loc"])) from None
    listing = _listing(path, about, arrays)
    if listing.checksum != about.checksum:
        raise _damaged(path, "checksum")
    return listing


def _listing(path: Path, about: _About, arrays: Mapping[str, NDArray[Any]]) -> Listing:
    """Of arrays that may say anything. `DataError` for what does not hold together, or leads a reader elsewhere."""
    paths, names = PackedNames(arrays["containers"]), PackedNames(arrays["names"])
    if (wrong := _misfit(len(paths), len(names), arrays) or _astray(about, paths, names, arrays)) is not None:
        raise _damaged(path, wrong)
    splits: dict[str, Entries] = {}
    bounds = np.searchsorted(arrays["split"], np.arange(len(ROLES) + 1)).tolist()
    starts = [0, *(np.flatnonzero(names.content == 0) + 1).tolist()]
    for role, first, last in zip(ROLES, bounds, bounds[1:], strict=False):
        if first < last:
            columns = {key: arrays[key][first:last] for key in COLUMNS}
            splits[role] = Entries(name=PackedNames(names.content[starts[first] : starts[last]]), **columns)
    containers = tuple(map(Container, paths.all(), arrays["changed"].tolist(), arrays["sizes"].tolist()))
    return Listing(
        about.kind, about.name, about.classes, containers, splits, about.notes, about.question, about.objects
    )


def _misfit(containers: int, names: int, arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """Which arrays do not fit together."""
    if {names, *(len(arrays[key]) for key in ("split", *COLUMNS))} != {len(arrays["label"])}:
        return "columns of different lengths"
    if {len(arrays["changed"]), len(arrays["sizes"])} != {containers}:
        return "containers"
    # Training pictures first, of which there are some.
    return None if len(arrays["split"]) and (np.diff(arrays["split"], prepend=0) >= 0).all() else "split"


def _astray(about: _About, paths: PackedNames, names: PackedNames, arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """What points at something that is not there, or not the set's."""
    most = {"container": len(paths), "label": len(about.classes), "split": len(ROLES)}
    for key, count in most.items():
        if not 0 <= arrays[key].min() <= arrays[key].max() < count:
            return key
    if arrays["split"][0] != 0 or about.kind not in KINDS:
        return "split or kind"
    if any(path.startswith("/") or ".." in PurePosixPath(path).parts for path in paths.all()):
        return "a path that leads out of the set"
    if about.kind == "folder":
        return "a name" if any("/" in name or name in ("", ".", "..") for name in names.all()) else None
    # Written so that no sum overflows.
    offset, size, end = arrays["offset"], arrays["size"], arrays["sizes"][arrays["container"]]
    inside = (offset >= 0) & (size >= 0) & (offset <= end) & (size <= end - offset)
    return None if inside.all() else "a picture that is not inside of its file"


def _array(path: Path, key: str, kind: type[np.generic]) -> NDArray[Any]:
    shape, dtype = archive.header(path, key)
    if dtype != kind or len(shape) != 1:
        raise _damaged(path, key)
    return archive.array(path, key)


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: no list of pictures, or damaged ({what})")
