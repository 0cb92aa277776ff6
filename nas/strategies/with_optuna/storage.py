"""Optuna's storages by URL: a database, or a journal file. Faults of both become a `StoreError` of one line.

A journal must be called by its absolute path (with a relative one, Optuna waits for ever for the lock of a killed
process), and what a killed writer left of a line must go before anybody reads or writes: the next line would be glued
to it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nas.errors import StoreError
from nas.passwords import hidden, hidden_url
from nas.strategies.with_optuna.samplers import quiet
from nas.system.database import connect, filled, sqlite_path

JOURNALS = (".log", ".journal")
"""How the name of a journal file ends."""
ALLOWED = (
    "a database that answers, such as sqlite:////data/optuna.db or postgresql+psycopg://user@host/database, "
    "or a journal such as /data/optuna.journal"
)
PATIENCE = 5
"""Seconds after which a journal's lock is taken to be left by a killed process; a write takes milliseconds."""
TRIES = 5
"""How often tables are made: two processes that make them at the same instant get in each other's way."""


def journal_path(url: str) -> Path | None:
    """The file of a journal, absolute; None for what is the URL of a database."""
    return Path(url).expanduser().absolute() if "://" not in url and url.endswith(JOURNALS) else None


def holds(url: str) -> bool:
    """Whether there is a storage of Optuna's at the URL already. Writes nothing; raises `StoreError` when nothing
    answers there, when nothing can be written there, or when something else is there.
    """
    with faults(url), quiet():
        path = journal_path(url)
        if path is not None:
            return _is_journal(path)
        if "://" not in url:
            raise ValueError(f"neither a URL nor a file that ends in {' or '.join(JOURNALS)}")
        file = sqlite_path(url)
        if file is not None and not _written(file):
            return False
        engine = connect(url, write=False)
        tables = set(sa.inspect(engine).get_table_names())
        engine.dispose()
        if "studies" in tables:
            _database(url, skip_table_creation=True)  # refuses what another version of Optuna has made
        elif tables and file is not None:
            raise ValueError(f"not a storage of Optuna's, it holds {', '.join(sorted(tables))}")
        return "studies" in tables


def opened(url: str) -> BaseStorage:
    """The storage, made where there is none."""
    with faults(url), quiet():
        path = journal_path(url)
        if path is None:
            return _made(url)
        _is_journal(path)
        lock = JournalFileSymlinkLock(str(path), PATIENCE)
        _mend(path, lock)
        return JournalStorage(JournalFileBackend(str(path), lock))


@contextmanager
def faults(url: str) -> Iterator[None]:
    """Turn whatever a driver or Optuna raises into a `StoreError` without passwords."""
    try:
        yield
    except StoreError as fault:
        reason = str(fault).partition("; allowed: ")[0].removeprefix("database ")
        raise StoreError(f"storage {reason}; allowed: {ALLOWED}") from fault
    except (SQLAlchemyError, OSError, RuntimeError, ValueError, ImportError) as fault:
        cause: Any = fault.__cause__ if isinstance(fault, optuna.exceptions.StorageInternalError) else fault
        reason = str(cause.orig if isinstance(cause, DBAPIError) else cause).partition("\n")[0]
        raise StoreError(f"storage '{hidden_url(url)}': {hidden(reason)}; allowed: {ALLOWED}") from fault


def _made(url: str) -> BaseStorage:
    """A database with Optuna's tables."""
    for left in reversed(range(TRIES)):
        try:
            return _database(url)
        except (DBAPIError, optuna.exceptions.StorageInternalError):
            if not left:
                raise
            time.sleep(0.1 * (TRIES - left))
    raise AssertionError


def _database(url: str, **options: Any) -> RDBStorage:
    """Each transaction has a connection of its own, so that a server may be started anew during a search. SQLite waits
    for other writers.
    """
    arguments = {"timeout": 60} if sqlite_path(url) is not None else {}
    return RDBStorage(filled(url), engine_kwargs={"poolclass": sa.NullPool, "connect_args": arguments}, **options)


def _written(file: Path) -> bool:
    """Whether the file is there, with something in it. Raises `OSError` when it, or its folder, cannot be written."""
    nearest = file if file.exists() else file.parent
    if not nearest.exists():
        raise FileNotFoundError(f"there is no folder {nearest}")
    if nearest == file and not file.is_file():
        raise IsADirectoryError(f"{nearest} is a folder")
    if not os.access(nearest, os.W_OK):
        raise PermissionError(f"{nearest} cannot be written")
    return file.exists() and file.stat().st_size > 0


def _is_journal(path: Path) -> bool:
    """As `holds`. Raises `OSError` or `ValueError`."""
    if not _written(path):
        return False
    with path.open("rb") as file:
        line = file.readline()
    try:
        # A line without its end was being written when its writer was killed: nobody can tell what it was to be.
        known = not line.endswith(b"\n") or "op_code" in json.loads(line)
    except (ValueError, TypeError):
        known = False
    if not known:
        raise ValueError("not a journal of Optuna's")
    return True


def _mend(path: Path, lock: JournalFileSymlinkLock) -> None:
    """Cut what a killed writer left of its last line. Others wait meanwhile, so that no line of theirs is cut."""
    if not path.exists():
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    finally:
        lock.release()
