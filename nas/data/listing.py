"""What a set of pictures holds, before any of them is decoded: where each one is, how many bytes it has, its class."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from nas import words

ROLES = ("train", "validation", "test")


class Container(NamedTuple):
    """A folder with picture files, or a file with pictures in it: its path below the set's root ("" = the root), and
    what tells of a change in it: when it was changed last (ns), and how many bytes it has (0: a folder).
    """

    path: str
    changed: int
    size: int


def container(root: Path, path: str) -> Container:
    """The container as it is now. Raises `OSError`."""
    status = (root / path).stat()
    return Container(path, status.st_mtime_ns, 0 if stat.S_ISDIR(status.st_mode) else status.st_size)


def unchanged(root: Path, containers: Iterable[Container]) -> bool:
    """Whether all of them are as they were, as far as times and sizes tell."""
    try:
        return all(container(root, known.path) == known for known in containers)
    except OSError:
        return False


@final
class PackedNames:
    """N names in one array of bytes, each ended by a zero: a million of them are no million objects, and processes that
    are forked share them.
    """

    def __init__(self, content: NDArray[np.uint8]) -> None:
        """Of `content`, uint8 as described."""
        self.content = content
        self._ends = np.flatnonzero(content == 0)

    @classmethod
    def of(cls, names: Iterable[str]) -> PackedNames:
        """Of names without zeros in them; of files whose names are no UTF-8, too."""
        content = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in names)
        return cls(np.frombuffer(content, np.uint8))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        start = int(self._ends[index - 1]) + 1 if index else 0
        return self.content[start : int(self._ends[index])].tobytes().decode("utf-8", "surrogateescape")

    def all(self) -> list[str]:
        """All of them as strings."""
        return self.content.tobytes().decode("utf-8", "surrogateescape").split("\0")[:-1]


@final
@dataclass(frozen=True, eq=False)
class Entries:
    """N pictures, column by column.

    container   position of the folder or file that it is in, among the listing's (int32)
    name        of its file in that folder, or what it is called in that file
    offset      where it begins in that file: a byte, or a row (int64; 0 in folders)
    size        bytes (int64); -1: of a link to nothing
    label       its class (int32)
    """

    container: NDArray[np.int32]
    name: PackedNames
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    label: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.label)


@final
@dataclass(frozen=True, eq=False)
class Listing:
    """A set of pictures.

    kind         how its pictures are stored: see `nas.data.listed.KINDS`
    name         of the set
    classes      names
    containers   all folders and files that were looked at
    splits       role ("train", "validation", "test") -> its pictures
    notes        what a user should know of how it was read
    question     what was asked of the reader: its options, as text
    objects      of annotated pictures: a checksum of what is in them; else empty
    """

    kind: str
    name: str
    classes: tuple[str, ...]
    containers: tuple[Container, ...]
    splits: Mapping[str, Entries]
    notes: tuple[str, ...]
    question: str
    objects: str = ""

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over all that decides which pictures there are, hexadecimal: not where the set lies, nor when its
        files were written.
        """
        about = [self.kind, self.classes, list(self.splits), *([self.objects] if self.objects else [])]
        digest = hashlib.sha256(json.dumps(about).encode())
        for entries in self.splits.values():
            used, position = np.unique(entries.container, return_inverse=True)
            containers = [self.containers[index] for index in used]
            sizes = np.array([one.size for one in containers], np.int64)
            texts = PackedNames.of(one.path for one in containers).content, entries.name.content
            columns = sizes, position, entries.offset, entries.size, entries.label
            for content in (*texts, *(column.astype("<i8") for column in columns)):
                digest.update(len(content).to_bytes(8, "little"))
                digest.update(content.tobytes())
        return digest.hexdigest()

    def is_of(self, root: Path) -> bool:
        """Whether nothing was changed below `root` since it was listed, as far as times and sizes of the containers
        tell. Of another copy of the set they do not tell.
        """
        return unchanged(root, self.containers)

    def differences(self, later: Listing) -> str:
        """What is other in a later listing of the same set, in words; empty where nothing is."""
        before, after = self._pictures(), later._pictures()
        gone = [name for name in before if name not in after]
        new = [name for name in after if name not in before]
        changed = [name for name, what in before.items() if after.get(name, what) != what]
        parts = [
            f"{len(names)} {what} ({words.some(names)})"
            for what, names in (("gone", gone), ("new", new), ("of another size, class or split", changed))
            if names
        ]
        if not parts and self.checksum != later.checksum:
            parts = ["other classes or objects, another order, or files of another size"]
        return "; ".join(parts)

    def _pictures(self) -> dict[str, tuple[str, str, int]]:
        """Picture -> its split, class and size."""
        return {
            f"{self.containers[index].path}/{name}".lstrip("/"): (role, self.classes[label], size)
            for role, entries in self.splits.items()
            for index, name, label, size in zip(
                entries.container.tolist(),
                entries.name.all(),
                entries.label.tolist(),
                entries.size.tolist(),
                strict=True,
            )
        }


@final
class EntriesBuilder:
    """Collects the pictures of one split."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, int, int, int]] = []

    def add(self, container: int, name: str, label: int, *, size: int, offset: int = 0) -> None:
        """One picture; see `Entries`."""
        self._rows.append((container, name, offset, size, label))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def labels(self) -> Sequence[int]:
        """Their classes."""
        return [row[4] for row in self._rows]

    def entries(self) -> Entries:
        """All of them, as columns."""
        containers, names, offsets, sizes, labels = zip(*self._rows, strict=True) if self._rows else [()] * 5
        return Entries(
            np.array(containers, np.int32),
            PackedNames.of(names),
            np.array(offsets, np.int64),
            np.array(sizes, np.int64),
            np.array(labels, np.int32),
        )
