"""The driver's side of `drivers`: what it is at, and a thread that tells the store every few seconds."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from nas.errors import StoreError
from nas.searchspaces.architecture import Architecture
from nas.studies.store import drivers
from nas.studies.store.drivers import Driver, UnderWay
from nas.studies.store.store import Store


@final
class Activity:
    """What a run is at: its stage, and the trials that are being measured. Threads may change it at any time."""

    def __init__(self) -> None:
        self.stage = ""
        self._lock = threading.Lock()
        self._begun: dict[tuple[str, int], tuple[str, float]] = {}

    def begin(self, strategy: str, number: int, architecture: Architecture) -> None:
        """A trial is about to be measured."""
        with self._lock:
            self._begun[strategy, number] = architecture.digest, time.monotonic()

    def end(self, strategy: str, number: int) -> None:
        """A trial is known."""
        with self._lock:
            self._begun.pop((strategy, number), None)

    def under_way(self) -> tuple[UnderWay, ...]:
        """The trials that were begun and are not known yet."""
        now = time.monotonic()
        with self._lock:
            begun = dict(self._begun)
        return tuple(UnderWay(*trial, digest, round(now - since, 3)) for trial, (digest, since) in begun.items())


@final
@dataclass(frozen=True)
class Lease:
    """That a run is driven by `driver`, as long as nobody takes it over."""

    store: Store
    run: str
    driver: str

    def check(self) -> None:
        """Raises `StoreError` when somebody has: nothing may be written any more."""
        self.store.drivers.check(self.run, self.driver)


@contextlib.contextmanager
def driving(store: Store, run: str, activity: Activity, waiting: Callable[[Driver], None]) -> Iterator[Lease]:
    """Drives a run for as long as the block lasts; gives its lease. Closes the store at the end.

    The signs of life come from a daemon thread, which the search never waits for, and whose faults are not the
    search's: at worst, the driver is taken for dead. Raises `RunError` when the run has a living driver.
    """
    me, ended = Driver(), threading.Event()
    with store:
        store.drivers.claim(run, me, waiting)

        def beat() -> None:
            alive = True
            while alive:
                with contextlib.suppress(Exception):
                    alive = store.drivers.beat(run, me, activity.stage, activity.under_way())
                if ended.wait(drivers.BEAT):
                    break

        thread = threading.Thread(target=beat, name="nas-heartbeat", daemon=True)
        thread.start()
        try:
            yield Lease(store, run, me.driver)
        finally:
            ended.set()
            thread.join(drivers.BEAT)
            with contextlib.suppress(StoreError):  # such as a full disk: the run's own fault counts
                store.drivers.release(run, me)
