"""The pictures of a listing, opened one by one: picture files, and pictures inside of larger files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, final

import numpy as np
from PIL import Image
from typing_extensions import override

from nas.data.decoding import opened
from nas.data.images import Encoded
from nas.data.listing import Container, Entries, Listing
from nas.data.source import Labelled, Source
from nas.errors import DataError


@dataclass(frozen=True, eq=False)
class Listed(Encoded):
    """Pictures of one split of a listing, below the folder `root`."""

    root: Path
    containers: tuple[Container, ...]
    entries: Entries

    def __len__(self) -> int:
        return len(self.entries)

    @override
    def name(self, index: int) -> str:
        return f"{self.root / self.container(index).path}: {self.entries.name[index]}"

    def container(self, index: int) -> Container:
        """What a picture is in."""
        return self.containers[int(self.entries.container[index])]


@final
class InFolders(Listed):
    """Each picture is a file."""

    @override
    def name(self, index: int) -> str:
        return str(self._path(index))

    @override
    def opened(self, index: int) -> Image.Image:
        path, listed = self._path(index), int(self.entries.size[index])
        size = path.stat().st_size
        if size != listed:
            raise _changed(listed, size)
        return opened(path)

    def _path(self, index: int) -> Path:
        return self.root / self.container(index).path / self.entries.name[index]


@final
class InFiles(Listed):
    """Each picture is a range of bytes of a file: of a tar archive, or of an Arrow file."""

    @override
    def opened(self, index: int) -> Image.Image:
        return opened(self._bytes(index))

    def _bytes(self, index: int) -> IO[bytes]:
        file = self.container(index)
        handle = os.open(self.root / file.path, os.O_RDONLY)
        try:
            size = os.fstat(handle).st_size
            if size != file.size:
                raise _changed(file.size, size)
            return io.BytesIO(os.pread(handle, int(self.entries.size[index]), int(self.entries.offset[index])))
        finally:
            os.close(handle)


@final
class InRows(Listed):
    """Each picture is in a row of a Parquet file."""

    @override
    def opened(self, index: int) -> Image.Image:
        from nas.data import row_groups

        file = self.container(index)
        path = self.root / file.path
        status = path.stat()
        if status.st_size != file.size:
            raise _changed(file.size, status.st_size)
        return opened(io.BytesIO(row_groups.picture(path, status.st_mtime_ns, int(self.entries.offset[index]))))


KINDS: Mapping[str, type[Listed]] = {"folder": InFolders, "tar": InFiles, "arrow": InFiles, "parquet": InRows}
"""How pictures may be stored, by the name that a listing has for it."""


def source_of(listing: Listing, root: Path) -> Source:
    """The set whose pictures lie below `root`."""
    kind = KINDS[listing.kind]
    splits = {
        role: Labelled(kind(root, listing.containers, entries), entries.label.astype(np.int64))
        for role, entries in listing.splits.items()
    }
    return Source(
        listing.name, listing.classes, splits["train"], splits.get("validation"), splits.get("test"), listing.notes
    )


def _changed(listed: int, size: int) -> DataError:
    return DataError(f"changed: {size:,} bytes, where {listed:,} were listed")
