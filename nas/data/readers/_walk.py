"""Folders and files as a user means them: without what is hidden, or was left there by a program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nas.errors import DataError

_LEFT_BEHIND = frozenset(
    {"__macosx", "__pycache__", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}
)


def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is no part of a data set: hidden (.ipynb_checkpoints, ._cat.jpg), or made
    by an archiver, a file manager or an operating system.
    """
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def folders(path: Path) -> list[str]:
    """Names of the folders in a folder, sorted; links to folders count. Raises `DataError` where it cannot be read."""
    return sorted(entry.name for entry in _entries(path) if entry.is_dir())


def files(path: Path, *, deep: bool = True) -> list[Path]:
    """Files in a folder and (`deep`) in those below it, sorted. Links to folders are not followed, and what is neither
    file nor folder (a pipe, a device) does not count. Raises `DataError` where a folder cannot be read.
    """
    return sorted(_files(path, deep))


def _files(path: Path, deep: bool) -> Iterator[Path]:
    for entry in _entries(path):
        if entry.is_dir(follow_symlinks=False):
            if deep:
                yield from _files(Path(entry.path), deep)
        elif entry.is_file() or not Path(entry.path).exists():  # a broken link shall be named as unreadable
            yield Path(entry.path)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not is_left_behind(entry.name)]
    except OSError as refusal:
        raise DataError(f"{path}: this folder cannot be read ({refusal.strerror or refusal})") from None
