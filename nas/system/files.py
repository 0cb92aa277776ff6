"""Files and folders that appear whole or not at all: the one writer of everything that must survive a kill.

What is new is written beside its place, flushed to the disk, and renamed, so that whoever reads sees the old content or
the new one. The folder is flushed too, or the rename itself would not survive a power cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write a file to; it takes the place of `path` when the block ends, and vanishes when the block fails.

    Folders on the way are made. Raises whatever the disk raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        _flush(partial)
        partial.replace(path)
        _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # whatever hindered writing may hinder this, and must not hide it
            partial.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, and waits until it is on the disk."""
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes the place of `path` when the block ends, and vanishes when the block fails.

    An empty folder at `path` stays, and gets the files: it may be somebody's working directory.
    """
    path = path.resolve()
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
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
