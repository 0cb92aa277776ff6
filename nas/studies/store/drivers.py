"""Who drives a run: one row in the store, which its driver touches every few seconds for as long as it lives.

The lock on a run's folder keeps two drivers of one machine apart. It does not see a copy of the folder, nor a file
system that machines share without sharing locks: there the row decides.

Whoever wants to drive a run that has a driver (`claim`) must know whether that one is alive. On the same machine the
system tells. Elsewhere it is watched: each sign of life adds 1 to the `beats` of its row, and a row that stays as it is
for `GRACE` seconds, by the clock of the one who watches, is that of a dead driver. Clocks of several machines are never
compared. The new driver then puts its row in place of the old one, in one statement that changes nothing if the row has
changed meanwhile, so that of two who claim a run only one gets it. A driver that was taken for dead, and was not, can
write no more: every write first renews its own row (`hold`), which is gone.
"""

from __future__ import annotations

import datetime
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Connection, Engine, RowMapping
from sqlalchemy.exc import IntegrityError

from nas.errors import RunError, StoreError
from nas.studies.run.typed_json import said
from nas.studies.store.tables import DRIVERS
from nas.system import processes
from nas.system.database import faults

BEAT = 5.0
"""Seconds between two signs of life: a commit that reaches the disk takes some ten milliseconds of them."""
GRACE = 30.0
"""Seconds without a sign of life after which a driver is stale: six that were due, which no pause of a busy process and
no restart of a database server explains. To be wrong about a driver that was only suspended does no harm: it may no
longer write, see `Drivers.hold`.
"""


@final
@dataclass(frozen=True)
class UnderWay:
    """A trial that is being measured, and for how many seconds."""

    strategy: str
    number: int
    digest: str
    seconds: float


_UNDER_WAY = TypeAdapter(tuple[UnderWay, ...])


@final
@dataclass(frozen=True, kw_only=True)
class Driver:
    """A process that drives a run.

    `beats` counts its signs of life; the last one was `age` seconds ago, by the database's clock.
    """

    driver: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=processes.machine)
    pid: int = field(default_factory=os.getpid)
    born: str = field(default_factory=lambda: processes.born(os.getpid()))
    started: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
    stage: str = ""
    under_way: tuple[UnderWay, ...] = ()
    beats: int = 0
    age: float = 0.0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def gone(self) -> bool:
        """Whether it is known to have ended: it ran on this machine, and does so no more."""
        return bool(self.machine) and self.machine == processes.machine() and processes.born(self.pid) != self.born

    def as_seen(self, before: Driver) -> bool:
        """Whether it has given no sign of life since it was seen as `before`."""
        return (self.driver, self.beats) == (before.driver, before.beats)

    @property
    def stale(self) -> bool:
        """Whether it has ended, as far as one look can tell."""
        return self.gone or self.age > GRACE


_DRIVER = TypeAdapter(Driver)


def _driver(row: RowMapping) -> Driver:
    """The driver of a row that was just read. Raises `ValueError` or `TypeError` when the row is damaged."""
    values = {key: row[key] for key in row if key not in ("run", "under_way", "seen", "now")}
    under_way = _UNDER_WAY.validate_json(row["under_way"])
    age = max(0.0, (row["now"] - row["seen"]).total_seconds())
    return _DRIVER.validate_python({**values, "under_way": under_way, "age": age})


@final
class Drivers:
    """The drivers' rows of a store. Methods raise `StoreError` for faults of the database."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name

    def of(self, run: str) -> Driver | None:
        """Who drives a run, if anybody does; stale drivers included."""
        try:
            with faults(self._name), self._engine.connect() as connection:
                if not sa.inspect(connection).has_table(DRIVERS.name):
                    return None  # a store of version 1
                query = sa.select(DRIVERS, sa.func.now().label("now")).where(DRIVERS.c.run == run)
                row = connection.execute(query).mappings().one_or_none()
            return None if row is None else _driver(row)
        except (ValueError, TypeError) as fault:  # a date that is none fails in the database's driver
            reason = said(fault) if isinstance(fault, ValidationError) else fault
            raise StoreError(
                f"{self._name}: the driver's row of run {run} is damaged ({reason}); delete that row from "
                f"{DRIVERS.name}, and run again"
            ) from fault

    def claim(self, run: str, me: Driver, waiting: Callable[[Driver], None]) -> None:
        """Makes `me` the driver of a run. Raises `RunError` while another one is alive.

        Where one look does not tell, it is watched for up to `GRACE` seconds; `waiting` is called before.
        """
        while not self._claimed(run, me, self.of(run), waiting):
            pass

    def beat(self, run: str, me: Driver, stage: str, under_way: tuple[UnderWay, ...]) -> bool:
        """A sign of life. False when the run has another driver now."""
        news = {"stage": stage, "under_way": _UNDER_WAY.dump_json(under_way).decode()}
        with faults(self._name), self._engine.begin() as connection:
            return self.hold(connection, run, me.driver, **news)

    def hold(self, connection: Connection, run: str, driver: str, **news: str) -> bool:
        """A sign of life within a transaction, with `news` for columns of the row. False when somebody has taken over.

        The row is locked by the update until the transaction ends: nobody can take over while it writes.
        """
        own_row = DRIVERS.update().where(DRIVERS.c.run == run, DRIVERS.c.driver == driver)
        values = {"beats": DRIVERS.c.beats + 1, "seen": sa.func.now(), **news}
        return connection.execute(own_row.values(values)).rowcount == 1

    def require(self, connection: Connection, run: str, driver: str) -> None:
        """`hold`, which raises `StoreError` when somebody has taken over."""
        if not self.hold(connection, run, driver):
            raise StoreError(
                f"{self._name}: another process has taken over run {run}, since this one gave no sign of life for some "
                "time; it goes on there"
            )

    def check(self, run: str, driver: str) -> None:
        """Raises `StoreError` when a run is no longer this driver's: it may write nothing more."""
        with faults(self._name), self._engine.begin() as connection:
            self.require(connection, run, driver)

    def release(self, run: str, me: Driver) -> None:
        """Ends `me` being the driver of a run, if it is."""
        with faults(self._name), self._engine.begin() as connection:
            connection.execute(DRIVERS.delete().where(DRIVERS.c.run == run, DRIVERS.c.driver == me.driver))

    def _claimed(self, run: str, me: Driver, other: Driver | None, waiting: Callable[[Driver], None]) -> bool:
        """One attempt, after `other` was seen; False when somebody was faster."""
        if other is not None and not other.gone:
            waiting(other)
            seen = self._watched(run, other)
            # Another beat, or another driver: in both cases somebody is alive.
            if seen is not None and not seen.as_seen(other):
                raise RunError(
                    f"{seen}, begun {seen.started}, is running this study (stage {seen.stage or 'none yet'}; "
                    f"{self._name}); wait for it, or stop it"
                )
            other = seen
        return self._put(run, me, other)

    def _watched(self, run: str, other: Driver) -> Driver | None:
        """A driver's row as soon as it changes, or after `GRACE` seconds."""
        until = time.monotonic() + GRACE
        while True:
            seen = self.of(run)
            # Released, alive, known to have ended, or watched for long enough.
            if seen is None or not seen.as_seen(other) or seen.gone or time.monotonic() > until:
                return seen
            time.sleep(BEAT / 10)

    def _put(self, run: str, me: Driver, other: Driver | None) -> bool:
        """Puts `me` in the place of `other`, unless something has changed since it was seen."""
        values = {key: getattr(me, key) for key in ("driver", "host", "machine", "pid", "born", "started", "stage")}
        values |= {"under_way": "[]", "beats": 0, "seen": sa.func.now()}
        with faults(self._name), self._engine.begin() as connection:
            if other is not None:
                # Compared and replaced in one statement: whoever comes second finds no such row.
                unchanged = (DRIVERS.c.run == run, DRIVERS.c.driver == other.driver, DRIVERS.c.beats == other.beats)
                return connection.execute(DRIVERS.update().where(*unchanged).values(values)).rowcount == 1
            try:
                connection.execute(DRIVERS.insert().values({"run": run, **values}))
            except IntegrityError:  # the run is the key: somebody's row was there first
                return False
        return True
