"""A measure that remembers on disk: what one search has measured, no other search, process or run measures again."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from nas.evaluation import Measure
from nas.searchspaces import Architecture

SHARES = (1 / 9, 1 / 3, 1.0)
"""Shares of the images on which every architecture is measured: those of racing with eta 3 and 3 rungs."""


@final
@dataclass(frozen=True)
class Cached:
    """`Measure` in front of an SQLite file at `path`. It can be pickled, and many processes may use one file."""

    measure: Measure
    path: str

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """On all images."""
        return self.shared(architecture)[-1]

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        """On growing shares, those of `SHARES`."""
        assert all(any(abs(share - known) < 1e-9 for known in SHARES) for share in shares), "a share not in SHARES"
        found = self.shared(architecture)
        return (found[min(range(3), key=lambda at: abs(SHARES[at] - share))] for share in shares)

    def shared(self, architecture: Architecture) -> list[Mapping[str, float]]:
        """Metrics on each of `SHARES`."""
        table = _table(self.path, os.getpid())
        query = "SELECT metrics FROM measured WHERE digest = ?"
        row = table.execute(query, (architecture.digest,)).fetchone()
        if row is None:
            row = (json.dumps(list(self.measure.stages(architecture, SHARES))),)
            with table:
                table.execute("INSERT OR IGNORE INTO measured VALUES (?, ?)", (architecture.digest, *row))
        found: list[Mapping[str, float]] = json.loads(row[0])
        return found


@functools.cache
def _table(path: str, process: int) -> sqlite3.Connection:  # noqa: ARG001  (a forked process needs its own)
    table = sqlite3.connect(path, timeout=60, check_same_thread=False)
    table.execute("PRAGMA journal_mode=WAL")
    table.execute("PRAGMA synchronous=OFF")
    table.execute("CREATE TABLE IF NOT EXISTS measured (digest TEXT PRIMARY KEY, metrics TEXT NOT NULL)")
    return table
