"""Files and folders that appear whole or not at all: the one writer of everything that must survive a kill.

What is new is written beside its place, flushed to the disk, and renamed, so that whoever reads sees the old content or
the new one. The folder is flushed too, or the rename itself would not survive a power cut.

A folder may come from somebody else, with links in it. What is written beside its place has a name that nobody could
know before, and is opened only if there was nothing: no link is ever followed. The rename replaces a link, not what it
points at.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

EVERYBODY, OWNER = 0o666, 0o600
"""Who may read a file, as far as the user's mask lets them."""
STALE = 3600.0
"""Seconds after which what a killed writer has left is deleted by the next one."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


@contextlib.contextmanager
def replacing(path: Path, mode: int = EVERYBODY) -> Iterator[Path]:
    """A place to write a file to; it takes the place of `path` when the block ends, and vanishes when the block fails.

    Folders on the way are made. Raises whatever the disk raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(path)
    os.close(os.open(partial, _NEW, mode))
    try:
        yield partial
        _flush(partial)
        partial.replace(path)
        _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # whatever hindered writing may hinder this, and must not hide it
            partial.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes, mode: int = EVERYBODY) -> None:
    """Writes a file whole or not at all, and waits until it is on the disk."""
    with replacing(path, mode) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes the place of `path` when the block ends, and vanishes when the block fails.

    An empty folder at `path` stays, and gets the files: it may be somebody's working directory.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(path)
    partial.mkdir()
    try:
        yield partial
        for inner in partial.rglob("*"):
            if inner.is_file():
                _flush(inner)
        if path.is_dir() and not any(path.iterdir()):
            for inner in partial.iterdir():
                inner.rename(path / inner.name)
            partial.rmdir()
        else:
            if path.exists():
                shutil.rmtree(path)
            partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _flush_folder(path.parent)


def open_lock(path: Path) -> int:
    """A descriptor of a file to lock, made where there is none. Raises `OSError` for a link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), EVERYBODY)


def first_link(path: Path) -> Path | None:
    """The first link at a path or anywhere below it; None where there is none."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        return path
    inner = sorted(path.iterdir()) if stat.S_ISDIR(mode) else []
    return next((link for entry in inner if (link := first_link(entry)) is not None), None)


def drop_partial(folder: Path) -> None:
    """Deletes what killed writers have left anywhere in a folder that nobody else writes to."""
    _drop(folder, re.compile(r"\..*\.[0-9a-f]{16}\.partial", re.DOTALL), -math.inf)  # however wrong clocks go
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            drop_partial(entry)


def _beside(path: Path) -> Path:
    """A name in the same folder that is nobody's. What was left there for the same path is deleted when it is old."""
    start, end = f".{path.name[:200]}.", ".partial"
    _drop(path.parent, re.compile(f"{re.escape(start)}.*{re.escape(end)}", re.DOTALL), STALE)
    return path.with_name(f"{start}{uuid4().hex[:16]}{end}")


def _drop(folder: Path, names: re.Pattern[str], age: float) -> None:
    """Deletes the files and folders of these names that are so many seconds old; a link is not followed."""
    for entry in folder.iterdir():
        if names.fullmatch(entry.name):
            with contextlib.suppress(OSError):  # whose it is may just have finished
                status = entry.lstat()
                if time.time() - status.st_mtime >= age:
                    shutil.rmtree(entry) if stat.S_ISDIR(status.st_mode) else entry.unlink()


def _flush(path: Path) -> None:
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())


def _flush_folder(path: Path) -> None:
    """Only POSIX systems can open a folder to flush it."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
