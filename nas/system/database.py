"""Databases by URL: where an SQLite file lies, whether a password stands in a URL, engines that write or only read, and
what to do about their faults.

A password comes from the environment, ${NAME} in its place in the URL, or from where the database's own driver looks
for it, such as PGPASSWORD or ~/.pgpass. A URL is made and taken apart by SQLAlchemy; of a file whose name holds what
means something in a URL, such as % or ?, it is written as SQLite's own: sqlite:///file:/a%3Fb?uri=true.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nas.errors import StoreError
from nas.passwords import SECRET_OPTION, hidden, hidden_url

ALLOWED = "a URL such as sqlite:////data/trials.sqlite or postgresql://user@host/database"
ELSEWHERE = (
    "no password in the URL: ${NAME} in its place, which is taken from the environment, or PGPASSWORD, or ~/.pgpass"
)
"""What is allowed in the place of a password."""
REMEDY = "restore it from a copy, or delete it and search anew: nas run RUN --from explore"
"""What to do about a table of trials that is damaged."""
_LATER = "run the same command again: it continues, nothing recorded is lost"
_PACKAGES = {"MySQLdb": "mysqlclient", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}
"""Drivers whose package is called otherwise."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def sqlite_url(path: Path) -> str:
    """URL of an SQLite file."""
    return _text(_of_file(path.resolve()))


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL, None for a database server. Raises `StoreError` for what is no URL."""
    return _file(_parsed(url))


def located(url: str, path: Path) -> str:
    """The URL of an SQLite file with another path. Raises `StoreError` for what is no URL."""
    parsed, moved = _parsed(url), _of_file(path)
    return _text(parsed.set(database=moved.database).update_query_dict(dict(moved.query)))


def host(url: str) -> str | None:
    """HOST or HOST:PORT of a database server; None for a file. Raises `StoreError` for what is no URL."""
    parsed = _parsed(url)
    if _file(parsed) is not None:
        return None
    name = parsed.host or str(parsed.query.get("host", "localhost"))
    return f"{name}:{parsed.port}" if parsed.port else name


def check_password(url: str) -> None:
    """Raises `StoreError` for a URL with a password in it: what a study says is kept in its run's folder."""
    secrets = _secrets(_parsed(url)).values()
    if any(secret and not _VARIABLE.fullmatch(secret) for secret in secrets):
        raise StoreError(f"database '{hidden_url(url)}': found a password; allowed: {ELSEWHERE}")


def filled(url: str) -> str:
    """The URL with the passwords that the environment holds. Raises `StoreError` for a variable that is not set."""
    return _text(_filled(_parsed(url), url))


def shown(url: str) -> str:
    """What messages call the store behind a URL: its file, or the URL without its password."""
    return str(sqlite_path(url) or hidden_url(url))


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
    parsed = _filled(_parsed(url), url)
    path = _file(parsed)
    try:
        engine = sa.create_engine(parsed if path is None or write else _reading(parsed, path))
    except ModuleNotFoundError as absent:
        package = _PACKAGES.get(str(absent.name), absent.name)
        raise StoreError(
            f"database '{hidden_url(url)}' needs a driver that is missing: pip install {package}"
        ) from absent
    except SQLAlchemyError as fault:
        raise _meaningless(url, hidden(str(fault))) from fault
    if path is not None:
        event.listen(engine, "connect", _synchronous)
    return engine


def _parsed(url: str) -> URL:
    try:
        parsed = sa.make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
    except SQLAlchemyError as fault:
        raise _meaningless(url, hidden(str(fault).replace(url, hidden_url(url)))) from fault
    except ValueError:  # whose text shows what it took for a port, which may be half of a password
        raise _meaningless(url, "no URL, its port is no number") from None
    if sqlite and parsed.database in (None, "", ":memory:"):
        raise StoreError(
            f"database '{url}': in memory, but a run continues from its trials; allowed: the URL of a file, such as "
            "sqlite:///trials.sqlite"
        )
    return parsed


def _meaningless(url: str, reason: str) -> StoreError:
    return StoreError(f"database '{hidden_url(url)}': {reason}; allowed: {ALLOWED}")


def _of_file(path: Path) -> URL:
    text = str(path)
    if not set("%?#") & set(text) and not text.startswith("file:"):
        return URL.create("sqlite", database=text)
    return URL.create("sqlite", database=f"file:{quote(text)}", query={"uri": "true"})


def _file(url: URL) -> Path | None:
    """The file of an SQLite URL, in either of its forms."""
    if url.get_backend_name() != "sqlite":
        return None
    text = str(url.database)
    return Path(unquote(text.removeprefix("file:")) if text.startswith("file:") else text)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _secrets(url: URL) -> dict[str, str]:
    """What is secret in a URL: its password, and options that are one."""
    options = {key: value for key, value in url.query.items() if SECRET_OPTION.search(key) and isinstance(value, str)}
    return {**options, "": str(url.password or "")}


def _filled(url: URL, shown_as: str) -> URL:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise StoreError(
                f"database '{hidden_url(shown_as)}': its password is to come from the environment, but {match[1]} is "
                f"not set; set it and {_LATER}"
            )
        return os.environ[match[1]]

    known = {key: _VARIABLE.sub(value, secret) for key, secret in _secrets(url).items()}
    options = {key: secret for key, secret in known.items() if key}
    if known[""]:
        url = url.set(password=known[""])
    return url.update_query_dict(options) if options else url


def _reading(url: URL, path: Path) -> URL:
    """As immutable, where no writer has the file open or has left work behind: else SQLite makes files beside it, which
    on read-only media it cannot.
    """
    log = path.with_name(f"{path.name}-wal")
    used = log.is_file() and (log.stat().st_size > 0 or os.access(path.parent, os.W_OK))
    query = {"mode": "ro", "uri": "true"} | ({} if used else {"immutable": "1"})
    return url.set(database=f"file:{quote(str(path))}").update_query_dict(query)


def _synchronous(connection: Any, _record: object) -> None:
    """Each commit reaches the disk."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
