"""How well one ranking predicts another: Kendall's tau-b, over all pairs and within bands of size, Spearman's rho,
regret and precision at the top; what the choice of architectures does to them, and what a perfect score would reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from nas import quantities
from nas.quantities import Quantity
from nas.studies.tau.ceiling import LEVEL, ceiling
from nas.studies.tau.noise import Repeated

RESAMPLES = 1000
TOP = (1, 3)
"""Values of k for the regret."""
BEST = 0.1
"""The share of architectures that counts as the top."""
BAND = 0.02
"""Sizes that differ by no more than this share of the greater one are of one band."""
TAU, SPEARMAN, IN_BANDS = "tau", "Spearman", f"tau within {BAND:.0%} of {quantities.find(quantities.SIZE).title}"


def tau_b(first: np.ndarray, second: np.ndarray, pairs: np.ndarray | None = None) -> float:
    """Kendall's tau-b: 1 for the same order, -1 for the reverse; pairs that are tied in one of the two count for
    nothing above the line, and less below it. NaN where one of the two does not vary. `pairs` (n x n, of booleans) are
    those that count, by default all.
    """
    one, other = (np.sign(values[:, None] - values[None, :]) for values in (first, second))
    if pairs is not None:
        one, other = one[pairs], other[pairs]
    below = math.sqrt(float(np.abs(one).sum()) * float(np.abs(other).sum()))
    return float((one * other).sum()) / below if below else math.nan


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho: the correlation of the ranks. NaN where one of the two does not vary."""
    one, other = (ranks - ranks.mean() for ranks in (rankdata(first), rankdata(second)))
    below = math.sqrt(float((one @ one) * (other @ other)))
    return float(one @ other) / below if below else math.nan


def regret(retrained: np.ndarray, k: int) -> float:
    """What is lost by retraining only the first `k`: the best of all, minus the best of those. The first come first in
    the array.
    """
    return float(retrained.max() - retrained[:k].max())


def precision(retrained: np.ndarray) -> float:
    """How many of the top `BEST` after retraining are among as many first ones, as a share. The first come first."""
    top = math.ceil(BEST * len(retrained))
    return float((rankdata(-retrained, method="min")[:top] <= top).mean())


@final
@dataclass(frozen=True, eq=False)
class Rankings:
    """Values of the same architectures, in the order in which shared weights rank them.

    scores      name -> values, of which more is better; the first is the metric with shared weights
    sizes       of which less is better
    truth       the metric after retraining, over seeds; more is better
    """

    scores: Mapping[str, np.ndarray]
    sizes: np.ndarray
    truth: Repeated

    def close(self, rows: np.ndarray) -> np.ndarray:
        """Which pairs of `rows` are of one band of sizes."""
        sizes = self.sizes[rows]
        greater = np.maximum(sizes[:, None], sizes[None, :])
        return np.asarray(np.abs(sizes[:, None] - sizes[None, :]) <= BAND * greater)

    def statistics(self, rows: np.ndarray) -> dict[str, float]:
        """The tau of each score, of the first one also Spearman's rho and what is within bands, and that of the size
        alone (what a ranking must beat to be worth its training); then regrets and precision, over some of the
        architectures. One that is asked for several times counts as often, but once for a regret and for precision.
        """
        truth, once = self.truth.mean, np.unique(rows)
        name, score = next(iter(self.scores.items()))
        return {
            name: tau_b(score[rows], truth[rows]),
            IN_BANDS: tau_b(score[rows], truth[rows], self.close(rows)),
            SPEARMAN: spearman(score[rows], truth[rows]),
            f"tau of {quantities.find(quantities.SIZE).title}": tau_b(self.sizes[rows], truth[rows]),
            **{other: tau_b(values[rows], truth[rows]) for other, values in self.scores.items() if other != name},
            **{f"regret@{k}": regret(truth[once], k) for k in TOP},
            f"precision@{BEST:.0%}": precision(truth[once]),
        }

    def agreements(self) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
        """Statistics that have a ceiling."""
        close = self.close(np.arange(len(self.sizes)))
        return {TAU: tau_b, IN_BANDS: lambda score, truth: tau_b(score, truth, close), SPEARMAN: spearman}


def ranked(table: pd.DataFrame, metric: Quantity) -> pd.DataFrame:
    """The rows as shared weights rank them, the best first; ties as a search's winner is chosen: the lesser size, then
    the lesser digest.
    """
    columns = [f"shared_{metric.name}", quantities.SIZE, "digest"]
    return table.sort_values(columns, ascending=[not metric.maximise, True, True]).reset_index(drop=True)


def summary(rankings: Rankings, seed: int) -> pd.DataFrame:
    """One row per statistic: `statistic`, `value`, and `low` to `high`, a 95 % percentile bootstrap interval over the
    architectures; `ceiling`, `ceiling_low` and `ceiling_high`, see `nas.studies.tau.ceiling.ceiling`.

    The interval covers which architectures were drawn, the ceiling's the noise of retraining. A resample in which one
    side does not vary says nothing of its tau, and counts as 0.
    """
    rng, count = np.random.default_rng(seed), len(rankings.sizes)
    values = rankings.statistics(np.arange(count))
    drawn = pd.DataFrame([rankings.statistics(draw) for draw in rng.integers(0, count, (RESAMPLES, count))])
    ends = drawn.fillna(0.0).quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ceilings = {name: ceiling(rankings.truth, agree, rng) for name, agree in rankings.agreements().items()}
    unknown = (math.nan,) * 3
    return pd.DataFrame(
        [(name, value, *ends[name], *ceilings.get(name, unknown)) for name, value in values.items()],
        columns=["statistic", "value", "low", "high", "ceiling", "ceiling_low", "ceiling_high"],
    )


def ties(table: pd.DataFrame, metric: Quantity) -> Mapping[str, int]:
    """How many pairs of architectures there are, and how many of them have the same value of the metric."""
    counts = {"pairs": len(table) * (len(table) - 1) // 2}
    for column in ("shared", "retrained"):
        sizes = table[f"{column}_{metric.name}"].value_counts()
        counts[f"tied_{column}"] = int((sizes * (sizes - 1) // 2).sum())
    return counts
