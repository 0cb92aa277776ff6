"""Tables of results: where they lie, how rows come in one by one, and what they say over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd
from scipy import stats

RESULTS = Path(__file__).parents[1] / "studies" / "results"


@final
@dataclass(frozen=True)
class Rows:
    """A table that grows by a row whenever one is known: what was killed goes on after the last one. Rows differ by
    their `keys`.
    """

    path: Path
    keys: Sequence[str]

    @property
    def frame(self) -> pd.DataFrame:
        """All rows so far."""
        return pd.read_csv(self.path) if self.path.exists() else pd.DataFrame(columns=list(self.keys))

    def has(self, **values: Any) -> bool:
        """Whether the row is there that has these values of the keys."""
        frame = self.frame
        return bool((frame[list(self.keys)] == [values[key] for key in self.keys]).all(axis=1).any())

    def append(self, row: Mapping[str, Any]) -> None:
        """Puts a row behind the others."""
        one = pd.DataFrame([row])
        rows = pd.concat([self.frame, one]) if self.path.exists() else one
        rows.convert_dtypes().to_csv(self.path, index=False)


def over_seeds(table: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation of `columns` over the seeds of each group, their number, and the commits."""
    groups = table.groupby(list(by), sort=False, dropna=False)
    summary = groups[list(columns)].agg(["mean", "std"])
    summary.columns = ["_".join(column) for column in summary.columns]
    summary = summary.assign(seeds=groups["seed"].nunique())
    if "commit" not in by:
        summary["commit"] = ", ".join(sorted(set(table["commit"])))
    return summary.round(5)


def paired(values: pd.Series, others: pd.Series) -> dict[str, float]:
    """By how much values differ from others of the same seed, on average, half of its interval of 95 % (Student's t;
    NaN for one seed), and the number of seeds that have both.
    """
    differences = (values - others).dropna()
    seeds = len(differences)
    half = stats.t.ppf(0.975, seeds - 1) * differences.sem() if seeds > 1 else float("nan")
    return {"difference": round(differences.mean(), 3), "half_interval": round(half, 3), "seeds": seeds}
