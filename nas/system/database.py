"""Databases by URL: where an SQLite file lies, what of a URL may be printed, engines that write or only read, and what
to do about their faults.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nas.errors import StoreError

ALLOWED = "a URL such as sqlite:////data/trials.sqlite or postgresql://user@host/database"
REMEDY = (
    "restore it from a copy, or delete it together with the folders explore, extract, retrain and report, and run again"
)
"""What to do about a table of trials that is damaged."""
_LATER = "run the same command again: it continues, nothing recorded is lost"
_PACKAGES = {"MySQLdb": "mysqlclient", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}
"""Drivers whose package is called otherwise."""


def sqlite_url(path: Path) -> str:
    """URL of an SQLite file."""
    return f"sqlite:///{path.resolve()}"


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL, None for a database server. Raises `StoreError` for what is no URL."""
    parsed = _parsed(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def located(url: str, path: Path) -> str:
    """The URL of an SQLite file with another path. Raises `StoreError` for what is no URL."""
    return _parsed(url).set(database=str(path)).render_as_string(hide_password=False)


def hidden(text: str) -> str:
    """The text without the passwords of the URLs in it."""
    return re.sub(r"([?&]password=)[^&\s]*", r"\1***", re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text))


def shown(url: str) -> str:
    """What messages call the store behind a URL: its file, or the URL without its password."""
    return str(sqlite_path(url) or hidden(url))


@contextlib.contextmanager
def faults(name: str) -> Iterator[None]:
    """Turns the faults of a database into a `StoreError` that names the store and says what to do."""
    try:
        yield
    except (DBAPIError, OSError) as fault:
        reason = " ".join(hidden(str(getattr(fault, "orig", None) or fault)).split())
        raise StoreError(f"{name}: {reason}; {_advice(reason)}") from fault
    except SQLAlchemyError as fault:
        raise StoreError(f"{name}: {hidden(str(fault))}") from fault


def _advice(reason: str) -> str:
    if "full" in reason or "disk I/O" in reason or "space" in reason:
        return f"free some space and {_LATER}"
    if "malformed" in reason or "not a database" in reason:
        return REMEDY
    return f"mend that and {_LATER}"


def connect(url: str, *, write: bool) -> Engine:
    """An engine. To read, an SQLite file is opened such that nothing is written, not even beside it on read-only media.

    Raises `StoreError` for a URL that means nothing, and for a driver that is not installed.
    """
    parsed = _parsed(url)
    try:
        sqlite = parsed.get_backend_name() == "sqlite"
        engine = sa.create_engine(_reading(parsed) if sqlite and not write else parsed)
    except ModuleNotFoundError as absent:
        package = _PACKAGES.get(str(absent.name), absent.name)
        raise StoreError(f"database '{hidden(url)}' needs a driver that is missing: pip install {package}") from absent
    except SQLAlchemyError as fault:
        raise _meaningless(url, fault) from fault
    if sqlite:
        event.listen(engine, "connect", _synchronous)
    return engine


def _parsed(url: str) -> URL:
    try:
        parsed = sa.make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
    except (SQLAlchemyError, ValueError) as fault:
        raise _meaningless(url, fault) from fault
    if sqlite and parsed.database in (None, "", ":memory:"):
        raise StoreError(
            f"database '{url}': in memory, but a run continues from its trials; allowed: the URL of a file, such as "
            "sqlite:///trials.sqlite"
        )
    return parsed


def _meaningless(url: str, fault: Exception) -> StoreError:
    return StoreError(f"database '{hidden(url)}': {hidden(str(fault))}; allowed: {ALLOWED}")


def _reading(url: URL) -> URL:
    """As immutable, where no writer has the file open or has left work behind: else SQLite makes files beside it, which
    on read-only media it cannot.
    """
    path = Path(str(url.database))
    log = path.with_name(f"{path.name}-wal")
    used = log.is_file() and (log.stat().st_size > 0 or os.access(path.parent, os.W_OK))
    query = {"mode": "ro", "uri": "true"} | ({} if used else {"immutable": "1"})
    return url.set(database=f"file:{quote(str(path))}").update_query_dict(query)


def _synchronous(connection: Any, _record: object) -> None:
    """Each commit reaches the disk."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
