"""What is known of timm's names: a table that `python -m benchmarks.coverage` made, by trying every one."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import final

FILE = Path(__file__).with_name("timm_names.csv")
FOUND = ("by", "kinds", "axes", "wrong", "reason", "parameters", "macs", "definition", "tried", "seconds")
"""Columns of what was found of a name."""


@final
@dataclass(frozen=True)
class KnownName:
    """A name of timm's.

    by          "hand": a family has its table of axes; "derived": they are; "refused"
    kinds       of axes, as far as they were derived of a shrunken instance of it, or of one like it
    why         of those that are refused
    parameters, macs   at its own size, 0 where nobody counted
    weights     how many published checkpoints it has
    """

    name: str
    module: str
    by: str
    kinds: tuple[str, ...]
    why: str
    parameters: int
    macs: int
    weights: int


def known_names() -> list[KnownName]:
    """All of them, by module and name."""
    with FILE.open(newline="", encoding="utf-8") as table:
        return sorted(map(_known, csv.DictReader(table)), key=lambda known: (known.module, known.name))


def _known(row: dict[str, str]) -> KnownName:
    wrong = row["wrong"] and f"tried, and wrong: {row['wrong']}"
    return KnownName(
        name=row["model"],
        module=row["module"],
        by="refused" if wrong and row["by"] == "derived" else row["by"],
        kinds=tuple(row["kinds"].split()),
        why=row["reason"] or wrong,
        parameters=int(row["parameters"] or 0),
        macs=int(row["macs"] or 0),
        weights=int(row["weights"] or 0),
    )
