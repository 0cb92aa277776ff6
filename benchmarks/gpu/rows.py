"""Rows of the table, each on the disk the moment it is known: a time limit may come at any moment."""

from __future__ import annotations

import csv
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch

from benchmarks.gpu.machine import Machine
from nas.system.environment import commit

COLUMNS = (
    *("part", "what", "unit", "value", "least", "greatest", "bound", "holds", "seconds"),
    *("device", "torch", "cuda", "python", "small", "commit"),
)


@final
@dataclass
class Rows:
    """The rows of one run, in a new file at `path`. A row with a `bound` holds when its value is at most that."""

    path: Path
    machine: Machine
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write("w", dict(zip(COLUMNS, COLUMNS, strict=True)))

    def add(self, part: str, seconds: float, row: Mapping[str, Any]) -> None:
        """Keeps a row of a part, which was known so many seconds after the start, and says it."""
        value, bound = row.get("value"), row.get("bound")
        complete = {
            "part": part,
            "seconds": round(seconds, 1),
            "holds": "" if bound is None else bool(value is not None and value <= bound),
            **{key: float(f"{number:.4g}") if isinstance(number, float) else number for key, number in row.items()},
            "device": self.machine.name,
            "torch": torch.__version__,
            "cuda": torch.version.cuda or "",
            "python": platform.python_version(),
            "small": self.machine.small,
            "commit": commit(),
        }
        self.rows.append(complete)
        self._write("a", complete)
        print(self._line(complete), flush=True)

    def broken(self) -> Iterator[str]:
        """What does not hold."""
        return (f"{row['part']}: {row['what']}" for row in self.rows if row["holds"] is False)

    def _write(self, mode: str, row: Mapping[str, Any]) -> None:
        with self.path.open(mode, newline="") as file:
            csv.DictWriter(file, COLUMNS, restval="").writerow(row)

    @staticmethod
    def _line(row: Mapping[str, Any]) -> str:
        value = "" if row.get("value") is None else f"{row['value']:g}"
        spread = f"({row['least']:g} to {row['greatest']:g})" if "least" in row else ""
        verdict = {True: f"holds (at most {row.get('bound')})", False: f"FAILS (at most {row.get('bound')})"}
        words = (f"{row['seconds']:6.1f} s", f"{row['part']:11}", row["what"], value, row["unit"], spread)
        return " ".join(word for word in (*words, verdict.get(row["holds"], "")) if word)
