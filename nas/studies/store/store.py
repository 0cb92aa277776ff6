"""Our table of trials, the one truth about a search: one row per finished trial, written in its own transaction the
moment the trial is known.

SQLite in the run folder by default; any database server that SQLAlchemy speaks to, by URL. Several runs may share one
table.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, final

import sqlalchemy as sa
from pydantic import AfterValidator, Field, Json, JsonValue, TypeAdapter, ValidationError
from sqlalchemy.engine import Connection, Engine, RowMapping
from sqlalchemy.exc import DBAPIError, IntegrityError

from nas import quantities
from nas.errors import SpaceError, StoreError
from nas.search.trial import PARTS, SHARE, State, Trial
from nas.searchspaces.architecture import Architecture, Value
from nas.studies.run.rows import Costs, Numbers, StoredFloat, StoredInt
from nas.studies.run.typed_json import said
from nas.studies.store.drivers import Drivers
from nas.studies.store.tables import METADATA, READABLE, SCHEMA, TRIALS, VERSION
from nas.system.database import REMEDY, connect, faults, shown, sqlite_path

PAUSES = (0.05, 0.2, 0.5)
"""Seconds until tables are made again: of two processes that make them at the same instant, one may fail."""


@final
class Store:
    """The table of trials behind a URL. All methods raise `StoreError`, which names the store and says what to do."""

    def __init__(self, engine: Engine, name: str, driver: str | None = None) -> None:
        self._engine = engine
        self._driver = driver
        self.name = name
        self.drivers = Drivers(engine, name)

    @classmethod
    def create(cls, url: str, *, driver: str | None = None) -> Store:
        """Opens a store to write to it, and makes its tables where the database lacks them; a store of the former
        version gets the table that it lacks. With a `driver`, only trials of runs that it drives can be changed.

        Some databases commit each table by itself, so a killed process may leave some of them: what is missing is
        added. A file of another program is refused before anything is written.
        """
        store = cls(connect(url, write=True), shown(url), driver)
        with faults(store.name):
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
            raise StoreError(f"{path}: the table of trials is {'empty' if path.is_file() else 'missing'}; {REMEDY}")
        store = cls(connect(url, write=False), shown(url))
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
        with faults(self.name), self._engine.begin() as connection:
            self._hold(connection, run)
            try:
                connection.execute(TRIALS.insert().values(row))
            except IntegrityError as fault:
                reason = " ".join(str(fault.orig).split())
                raise StoreError(
                    f"{self.name}: this trial is in the table already ({reason}): is another run writing under the "
                    "same id?"
                ) from fault

    def trials(self, run: str, strategy: str | None = None, *, choices: Mapping[str, Collection[Value]]) -> list[Trial]:
        """The trials of a run in the order they were recorded, of one strategy or of all.

        `choices`, choice -> values, are those of the run's search space: a row of another space is a damaged one.
        """
        query = sa.select(TRIALS).where(TRIALS.c.run == run).order_by(TRIALS.c.id)
        if strategy is not None:
            query = query.where(TRIALS.c.strategy == strategy)
        try:
            with faults(self.name), self._engine.connect() as connection:
                rows = connection.execute(query).mappings().all()
            return [_trial(row, choices) for row in rows]
        except (ValueError, TypeError, OverflowError, RecursionError, SpaceError) as fault:
            reason = said(fault) if isinstance(fault, ValidationError) else fault
            raise StoreError(f"{self.name}: a row of run {run} is damaged ({reason}); {REMEDY}") from fault

    def clear(self, run: str, strategy: str | None = None) -> None:
        """Deletes the trials of a run, of one strategy or of all: the supernet they were measured on is about to be
        trained anew.
        """
        which = TRIALS.c.run == run
        if strategy is not None:
            which &= TRIALS.c.strategy == strategy
        with faults(self.name), self._engine.begin() as connection:
            self._hold(connection, run)
            connection.execute(TRIALS.delete().where(which))

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self) -> None:
        """Makes what is missing, unless the tables are of another version, or an SQLite file has others (see `_check`).

        Raises `DBAPIError`, also when another process makes it at the same instant.
        """
        sqlite = self._engine.dialect.name == "sqlite"
        with self._engine.connect() as connection:
            tables = set(sa.inspect(connection).get_table_names())
            # A file of another program is left as it is. A database server's other tables are no business of ours.
            if sqlite and not tables <= set(METADATA.tables):
                return
            version = connection.execute(sa.select(VERSION.c.version)).scalar() if VERSION.name in tables else None
        if version not in (None, *READABLE):
            return
        # A table may be missing for three reasons: a new store, one of the former version, or one whose maker was
        # killed on a database that commits each table by itself. All are made whole alike.
        if version != SCHEMA or not set(METADATA.tables) <= tables:
            with self._engine.begin() as connection:
                if sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # or each table would be made by itself
                METADATA.create_all(connection)
                # The version comes last: what has one is whole.
                if connection.execute(sa.update(VERSION).values(version=SCHEMA)).rowcount == 0:
                    connection.execute(VERSION.insert().values(version=SCHEMA))
        if sqlite:
            with self._engine.connect() as connection:
                connection.execute(sa.text("PRAGMA journal_mode=WAL"))  # readers do not wait for the writer

    def _hold(self, connection: Connection, run: str) -> None:
        """Within a transaction that writes: the run is still its driver's until the transaction ends."""
        if self._driver is not None:
            self.drivers.require(connection, run, self._driver)

    def _check(self) -> None:
        """Refuses a damaged file, another program's database, and another version's table."""
        with faults(self.name), self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                verdict = connection.execute(sa.text("PRAGMA quick_check")).scalar()
                if verdict != "ok":
                    raise StoreError(f"{self.name}: damaged or cut short ({str(verdict).splitlines()[0]}); {REMEDY}")
            tables = set(sa.inspect(connection).get_table_names())
            if not {VERSION.name, TRIALS.name} <= tables:
                held = ", ".join(sorted(tables)) or "no tables"
                raise StoreError(
                    f"{self.name}: not a table of trials of nas (it holds {held}); name another store, "
                    "or move that file away"
                )
            version = connection.execute(sa.select(VERSION.c.version)).scalar()
            if version not in READABLE:
                raise StoreError(
                    f"{self.name}: schema version {version}, this nas reads version {SCHEMA}; open it "
                    "with the nas that wrote it"
                )


def _metrics(metrics: Numbers) -> Numbers:
    taken = {*quantities.RESERVED, *(quantity.name for quantity in quantities.every_cost())}
    if wrong := taken & metrics.keys():
        raise ValueError(f"no metric is called '{min(wrong)}'")
    return metrics


def _notes(notes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    share = notes.get(SHARE, 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError("the share of the images")
    _PARTS.validate_python(notes.get(PARTS, []), strict=True)
    return notes


_PARTS = TypeAdapter(Annotated[list[StoredFloat], Field(max_length=1000)])


@final
@dataclass(frozen=True)
class _Row:
    """A row as `Store.record` writes it."""

    number: Annotated[StoredInt, Field(ge=0)]
    strategy: str
    seed: StoredInt
    digest: str
    architecture: str
    metrics: Json[Annotated[Numbers, AfterValidator(_metrics)]]
    costs: Json[Costs]
    seconds: Annotated[StoredFloat, Field(ge=0)]
    state: State
    error: str | None
    cached: bool
    notes: Json[Annotated[dict[str, JsonValue], AfterValidator(_notes)]]


_ROW = TypeAdapter(_Row)


def _trial(stored: RowMapping, choices: Mapping[str, Collection[Value]]) -> Trial:
    """The trial of a row. Raises `ValueError` or `SpaceError` when the row is damaged, or of another search space."""
    row = _ROW.validate_python(dict(stored))
    architecture = Architecture.from_json(row.architecture)
    if architecture.digest != row.digest:
        raise ValueError(f"trial {row.number}: its architecture has not the digest {row.digest}")
    wrong = [name for name, values in choices.items() if architecture.get(name) not in values]
    if wrong or len(architecture) != len(choices):
        raise ValueError(f"trial {row.number}: an architecture of another search space")
    if both := row.metrics.keys() & choices.keys():
        raise ValueError(f"trial {row.number}: the choice '{min(both)}' among its metrics")
    return Trial(
        number=row.number,
        architecture=architecture,
        metrics=row.metrics,
        costs=row.costs,
        strategy=row.strategy,
        seed=row.seed,
        seconds=row.seconds,
        state=row.state,
        error=row.error,
        cached=row.cached,
        notes=row.notes,
    )
