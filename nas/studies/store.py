"""Our table of trials, the one truth about a search: one row per finished trial, written in its own transaction the
moment the trial is known.

SQLite in the run folder by default; any database server that SQLAlchemy speaks to, by URL. Several runs may share one
table.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import sqlalchemy as sa
from pydantic import Json, TypeAdapter, ValidationError
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from nas.database import connect, hidden, sqlite_path
from nas.errors import SpaceError, StoreError
from nas.searchspaces.architecture import Architecture, Value
from nas.strategies.problem import State, Trial
from nas.studies.results import Counted, said

SCHEMA = 1
"""Version of the table's columns; a store of another version is refused."""
PAUSES = (0.05, 0.2, 0.5)
"""Seconds until tables are made again: of two processes that make them at the same instant, one fails."""

_METADATA = sa.MetaData()
_VERSION = sa.Table("nas_schema", _METADATA, sa.Column("version", sa.Integer, primary_key=True))
_TRIALS = sa.Table(
    "nas_trials",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("strategy", sa.String(64), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(12), nullable=False),
    sa.Column("architecture", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("costs", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("cached", sa.Boolean, nullable=False),
    sa.Column("notes", sa.Text, nullable=False),
    sa.Column("time", sa.String(32), nullable=False),
    sa.UniqueConstraint("run", "strategy", "number"),
)


@final
class Store:
    """The table of trials behind a URL. All methods raise `StoreError`, which names the store and says what to do."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    @classmethod
    def create(cls, url: str) -> Store:
        """Opens a store to write to it, and makes its tables where the database lacks them.

        Databases commit each table by itself, so a killed process may leave some of them: what is missing is added. A
        file of another program is refused before anything is written.
        """
        store = cls(connect(url, write=True), _shown(url))
        with store._faults():
            for pause in (*PAUSES, None):
                try:
                    store._make()
                    break
                except DBAPIError:
                    if pause is None:
                        raise
                    time.sleep(pause)
        store._check()
        return store

    @classmethod
    def open(cls, url: str) -> Store:
        """Opens a store to read from it; a file that is missing or empty is a fault, not a new store."""
        path = sqlite_path(url)
        if path is not None and not (path.is_file() and path.stat().st_size):
            raise StoreError(f"{path}: the table of trials is {'empty' if path.is_file() else 'missing'}; {_REMEDY}")
        store = cls(connect(url, write=False), _shown(url))
        store._check()
        return store

    def record(self, run: str, trial: Trial) -> None:
        """Writes one finished trial: one row, one transaction, on the disk when this returns."""
        row = {
            "run": run,
            "strategy": trial.strategy,
            "seed": trial.seed,
            "number": trial.number,
            "digest": trial.architecture.digest,
            "architecture": str(trial.architecture),
            "metrics": json.dumps(dict(trial.metrics)),
            "costs": json.dumps(dict(trial.costs)),
            "seconds": trial.seconds,
            "state": trial.state,
            "error": trial.error,
            "cached": trial.cached,
            "notes": json.dumps(dict(trial.notes)),
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
        with self._faults(), self._engine.begin() as connection:
            connection.execute(_TRIALS.insert().values(row))

    def trials(self, run: str, strategy: str | None = None, *, choices: Mapping[str, Collection[Value]]) -> list[Trial]:
        """The trials of a run in the order they were recorded, of one strategy or of all.

        `choices`, choice -> values, are those of the run's search space: a row of another space is a damaged one.
        """
        query = sa.select(_TRIALS).where(_TRIALS.c.run == run).order_by(_TRIALS.c.id)
        if strategy is not None:
            query = query.where(_TRIALS.c.strategy == strategy)
        try:
            with self._faults(), self._engine.connect() as connection:
                rows = connection.execute(query).mappings().all()
            return [_trial(row, choices) for row in rows]
        except (ValueError, SpaceError) as fault:
            reason = said(fault) if isinstance(fault, ValidationError) else fault
            raise StoreError(f"{self.name}: a row of run {run} is damaged ({reason}); {_REMEDY}") from fault

    def clear(self, run: str, strategy: str | None = None) -> None:
        """Deletes the trials of a run, of one strategy or of all: the supernet they were measured on is about to be
        trained anew.
        """
        which = _TRIALS.c.run == run
        if strategy is not None:
            which &= _TRIALS.c.strategy == strategy
        with self._faults(), self._engine.begin() as connection:
            connection.execute(_TRIALS.delete().where(which))

    def _make(self) -> None:
        """Makes what is missing. Raises `DBAPIError`, also when another process makes it at the same instant."""
        sqlite = self._engine.dialect.name == "sqlite"
        if sqlite and not set(sa.inspect(self._engine).get_table_names()) <= set(_METADATA.tables):
            return  # see `_check`
        with self._engine.begin() as connection:
            _METADATA.create_all(connection)
            if connection.execute(sa.select(_VERSION.c.version)).scalar() is None:
                connection.execute(_VERSION.insert().values(version=SCHEMA))
        if sqlite:
            with self._engine.connect() as connection:
                connection.execute(sa.text("PRAGMA journal_mode=WAL"))  # readers do not wait for the writer

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        """Refuses a damaged file, another program's database, and another version's table."""
        with self._faults(), self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                verdict = connection.execute(sa.text("PRAGMA quick_check")).scalar()
                if verdict != "ok":
                    raise StoreError(f"{self.name}: damaged or cut short ({str(verdict).splitlines()[0]}); {_REMEDY}")
            tables = set(sa.inspect(connection).get_table_names())
            if not {_VERSION.name, _TRIALS.name} <= tables:
                held = ", ".join(sorted(tables)) or "no tables"
                raise StoreError(
                    f"{self.name}: not a table of trials of nas (it holds {held}); name another store, "
                    "or move that file away"
                )
            version = connection.execute(sa.select(_VERSION.c.version)).scalar()
            if version != SCHEMA:
                raise StoreError(
                    f"{self.name}: schema version {version}, this nas reads version {SCHEMA}; open it "
                    "with the nas that wrote it"
                )

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as fault:
            raise StoreError(
                f"{self.name}: this trial is in the table already ({fault.orig}): is another run writing under the "
                "same id?"
            ) from fault
        except (DBAPIError, OSError) as fault:
            reason = " ".join(hidden(str(getattr(fault, "orig", None) or fault)).split())
            raise StoreError(f"{self.name}: {reason}; {_advice(reason)}") from fault
        except SQLAlchemyError as fault:
            raise StoreError(f"{self.name}: {hidden(str(fault))}") from fault


_REMEDY = (
    "restore it from a copy, or delete it together with the folders explore, extract, retrain and report, and run again"
)
_LATER = "run the same command again: it continues, nothing recorded is lost"


def _shown(url: str) -> str:
    return str(sqlite_path(url) or hidden(url))


def _advice(reason: str) -> str:
    if "full" in reason or "disk I/O" in reason or "space" in reason:
        return f"free some space and {_LATER}"
    if "malformed" in reason or "not a database" in reason:
        return _REMEDY
    return f"mend that and {_LATER}"


@final
@dataclass(frozen=True)
class _Row:
    """A row as `Store.record` writes it."""

    number: int
    strategy: str
    seed: int
    digest: str
    architecture: str
    metrics: Json[dict[str, float]]
    costs: Json[Counted]
    seconds: float
    state: State
    error: str | None
    cached: bool
    notes: Json[dict[str, Any]]


_ROW = TypeAdapter(_Row)


def _trial(found: Mapping[Any, Any], choices: Mapping[str, Collection[Value]]) -> Trial:
    """The trial of a row. Raises `ValueError` or `SpaceError` when the row is damaged, or of another search space."""
    row = _ROW.validate_python(dict(found))
    architecture = Architecture.from_json(row.architecture)
    if architecture.digest != row.digest:
        raise ValueError(f"trial {row.number}: its architecture has not the digest {row.digest}")
    wrong = [name for name, values in choices.items() if architecture.get(name) not in values]
    if wrong or len(architecture) != len(choices):
        raise ValueError(f"trial {row.number}: an architecture of another search space")
    return Trial(
        number=row.number,
        architecture=architecture,
        metrics=row.metrics,
        costs=asdict(row.costs),
        strategy=row.strategy,
        seed=row.seed,
        seconds=row.seconds,
        state=row.state,
        error=row.error,
        cached=row.cached,
        notes=row.notes,
    )
