"""Folders and files as a user means them: without what is hidden, or was left there by a program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, final

from nas.data.listing import Container, container
from nas.errors import DataError

_LEFT_BEHIND = frozenset(
    {"__macosx", "__pycache__", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}
)


def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is no part of a data set: hidden (.ipynb_checkpoints, ._cat.jpg), or made
    by an archiver, a file manager or an operating system.
    """
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def joined(folder: str, name: str) -> str:
    """The path of what lies in a folder; "" is the set's root."""
    return f"{folder}/{name}" if folder else name


class File(NamedTuple):
    """A file of a set: the folder it is in, its name, and its bytes (-1: a link to nothing)."""

    folder: str
    name: str
    size: int

    @property
    def path(self) -> str:
        """Its path below the set's root."""
        return joined(self.folder, self.name)

    @property
    def ending(self) -> str:
        """What it ends with, in lower case: ".jpg", or nothing."""
        return Path(self.name).suffix.lower()


@final
class Walk:
    """Looks into the folders of a set, and keeps which: `containers`. Paths are below the set's root.

    What it finds is sorted. Its methods raise `DataError` for a folder that cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seen: dict[str, Container] = {}
        self._positions: dict[str, int] = {}

    @property
    def containers(self) -> tuple[Container, ...]:
        """The folders that were looked into, and the files that were opened, as they were then."""
        return tuple(self._seen.values())

    def position(self, path: str) -> int:
        """Which of the containers has this path. A file that is new among them is noted as it is now."""
        if path not in self._seen:
            self._note(path)
        return self._positions[path]

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder; links to folders count."""
        return sorted(entry.name for entry in self._entries(folder) if entry.is_dir())

    def files(self, folder: str, *, deep: bool = True) -> list[File]:
        """Files in a folder and (`deep`) in those below it. Links to folders are not followed, and what is neither
        file nor folder (a pipe, a device) does not count.
        """
        return sorted(self._files(folder, deep), key=lambda file: file.path.split("/"))

    def file(self, name: str) -> File:
        """A file in the root, whatever else is there."""
        return File("", name, container(self.root, name).size)

    def _files(self, folder: str, deep: bool) -> Iterator[File]:
        for entry in self._entries(folder):
            if entry.is_dir(follow_symlinks=False):
                if deep:
                    yield from self._files(joined(folder, entry.name), deep)
            elif entry.is_file():
                yield File(folder, entry.name, entry.stat().st_size)
            elif not Path(entry.path).exists():  # a broken link shall be named as unreadable
                yield File(folder, entry.name, -1)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        self._note(folder)  # before it is read: what is changed meanwhile is a change
        try:
            with os.scandir(self.root / folder) as entries:
                return [entry for entry in entries if not is_left_behind(entry.name)]
        except OSError as refusal:
            raise _unreadable(self.root / folder, refusal) from None

    def _note(self, path: str) -> None:
        try:
            self._seen.setdefault(path, container(self.root, path))
        except OSError as refusal:
            raise _unreadable(self.root / path, refusal) from None
        self._positions.setdefault(path, len(self._positions))


def _unreadable(path: Path, refusal: OSError) -> DataError:
    return DataError(f"{path}: this folder cannot be read ({refusal.strerror or refusal})")
