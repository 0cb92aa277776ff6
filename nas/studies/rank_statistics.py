"""How well one ranking predicts another: Kendall's tau-b, top-k regret, and what the choice of architectures does to
both.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

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


def statistics(table: pd.DataFrame) -> dict[str, float]:
    """tau of the accuracy with shared weights, of the MACs alone (what a ranking must beat to be worth its training),
    and the regrets; `table` in the order of `ranked`. The same row several times counts as often for tau, and once for
    a regret.
    """
    shared, macs, retrained = (table[c].to_numpy(np.float64) for c in ("shared_accuracy", "macs", "retrained_accuracy"))
    distinct = retrained[~table.index.duplicated()]
    return {
        "tau": tau_b(shared, retrained),
        "tau of MACs": tau_b(macs, retrained),
        **{f"regret@{k}": regret(distinct, k) for k in TOP},
    }


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The rows as shared weights rank them, the best first; ties as a search's winner is chosen: fewer MACs, then the
    lesser digest.
    """
    ordered = table.sort_values(["shared_accuracy", "macs", "digest"], ascending=[False, True, True])
    return ordered.reset_index(drop=True)


def summary(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row per statistic: `statistic`, `value`, and `low` to `high`, a 95 % percentile bootstrap interval over the
    architectures (rows).

    It covers which architectures were drawn, and nothing else: each was retrained once, from one supernet. Resamples in
    which a tau is not defined are left out of its interval.
    """
    ordered = ranked(table)
    found = statistics(ordered)
    rng = np.random.default_rng(seed)
    draws = np.sort(rng.integers(0, len(ordered), (RESAMPLES, len(ordered))), axis=1)
    resampled = pd.DataFrame([statistics(ordered.iloc[draw]) for draw in draws])
    ends = resampled.quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    rows = [
        {"statistic": name, "value": value, "low": ends[name].iloc[0], "high": ends[name].iloc[1]}
        for name, value in found.items()
    ]
    return pd.DataFrame(rows)


def ties(table: pd.DataFrame) -> Mapping[str, int]:
    """How many pairs of architectures there are, and how many of them have the same accuracy."""
    counts = {"pairs": len(table) * (len(table) - 1) // 2}
    for column in ("shared", "retrained"):
        sizes = table[f"{column}_accuracy"].value_counts()
        counts[f"tied_{column}"] = int((sizes * (sizes - 1) // 2).sum())
    return counts
