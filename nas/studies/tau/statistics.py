"""How well one ranking predicts another: Kendall's tau-b, top-k regret, and what the choice of architectures does to
both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from nas import quantities
from nas.quantities import Quantity

RESAMPLES = 1000
LEVEL = 0.95
TOP = (1, 3)
"""Values of k for the regret."""


def tau_b(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b: 1 for the same order, -1 for the reverse; pairs that are tied in one of the two count for
    nothing above the line, and less below it. NaN where one of the two does not vary.
    """
    return float(kendalltau(first, second, variant="b").statistic)


def regret(retrained: np.ndarray, k: int) -> float:
    """What is lost by retraining only the first `k`: the best of all, minus the best of those. The first come first in
    the array.
    """
    return float(retrained.max() - retrained[:k].max())


@final
@dataclass(frozen=True)
class Rankings:
    """Three values of the same architectures, in the order in which shared weights rank them. More is better, but of
    `sizes`.
    """

    shared: np.ndarray
    sizes: np.ndarray
    retrained: np.ndarray

    def statistics(self, rows: np.ndarray) -> dict[str, float]:
        """The tau of the metric with shared weights, that of the size alone (what a ranking must beat to be worth its
        training), and the regrets, over some of the architectures. One that is asked for several times counts as often
        for tau, and once for a regret.
        """
        retrained = self.retrained[rows]
        return {
            "tau": tau_b(self.shared[rows], retrained),
            f"tau of {quantities.find(quantities.SIZE).title}": tau_b(self.sizes[rows], retrained),
            **{f"regret@{k}": regret(self.retrained[np.unique(rows)], k) for k in TOP},
        }


def ranked(table: pd.DataFrame, metric: Quantity) -> pd.DataFrame:
    """The rows as shared weights rank them, the best first; ties as a search's winner is chosen: the lesser size, then
    the lesser digest.
    """
    columns = [f"shared_{metric.name}", quantities.SIZE, "digest"]
    return table.sort_values(columns, ascending=[not metric.maximise, True, True]).reset_index(drop=True)


def summary(table: pd.DataFrame, metric: Quantity, seed: int) -> pd.DataFrame:
    """One row per statistic: `statistic`, `value`, and `low` to `high`, a 95 % percentile bootstrap interval over the
    architectures (rows).

    It covers which architectures were drawn, and nothing else: each was retrained once, from one supernet. A resample
    in which one side does not vary says nothing of its tau, and counts as 0.
    """
    rows = ranked(table, metric)
    sign = 1 if metric.maximise else -1  # a metric of which less is better: the greatest negative is the best
    shared, retrained = (sign * rows[f"{when}_{metric.name}"].to_numpy(np.float64) for when in ("shared", "retrained"))
    rankings = Rankings(shared, rows[quantities.SIZE].to_numpy(np.float64), retrained)
    values = rankings.statistics(np.arange(len(rows)))
    draws = np.random.default_rng(seed).integers(0, len(rows), (RESAMPLES, len(rows)))
    drawn = pd.DataFrame([rankings.statistics(draw) for draw in draws]).fillna(0.0)
    ends = drawn.quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return pd.DataFrame(
        [
            {"statistic": name, "value": value, "low": ends[name].iloc[0], "high": ends[name].iloc[1]}
            for name, value in values.items()
        ]
    )


def ties(table: pd.DataFrame, metric: Quantity) -> Mapping[str, int]:
    """How many pairs of architectures there are, and how many of them have the same value of the metric."""
    counts = {"pairs": len(table) * (len(table) - 1) // 2}
    for column in ("shared", "retrained"):
        sizes = table[f"{column}_{metric.name}"].value_counts()
        counts[f"tied_{column}"] = int((sizes * (sizes - 1) // 2).sum())
    return counts
