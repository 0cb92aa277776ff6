"""Tables of results: where they lie, and what they say over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parents[1] / "studies" / "results"


def over_seeds(table: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation of `columns` over the seeds of each group, their number, and the commits."""
    groups = table.groupby(list(by), sort=False, dropna=False)
    summary = groups[list(columns)].agg(["mean", "std"])
    summary.columns = ["_".join(column) for column in summary.columns]
    summary = summary.assign(seeds=groups["seed"].nunique())
    if "commit" not in by:
        summary["commit"] = ", ".join(sorted(set(table["commit"])))
    return summary.round(5)
