"""How well each of several scores ranks the same architectures, and how much better than the first one."""

from __future__ import annotations

import math

import numpy as np

from nas.studies.run.rank_results import JudgedScore
from nas.studies.tau import statistics
from nas.studies.tau.ceiling import LEVEL
from nas.studies.tau.statistics import Rankings, tau_b


def judged(rankings: Rankings, seed: int) -> list[JudgedScore]:
    """One row per score. Intervals are percentiles of a bootstrap over architectures, the same draws for all scores: so
    what is gained over the first score is a paired difference.
    """
    count, truth = len(rankings.sizes), rankings.truth.mean
    rng = np.random.default_rng(seed)
    draws = [np.arange(count), *rng.integers(0, count, (statistics.RESAMPLES, count))]
    bands = [rankings.close(rows) for rows in draws]

    def taus(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Over all pairs and within bands of size, for each draw; the first draw is the sample itself."""
        return (
            np.array([tau_b(values[rows], truth[rows]) for rows in draws]),
            np.array([tau_b(values[rows], truth[rows], close) for rows, close in zip(draws, bands, strict=True)]),
        )

    found = {name: taus(values) for name, values in rankings.scores.items()}
    first, _ = next(iter(found.values()))
    return [
        JudgedScore(name, *_interval(over_all), *_interval(within), *_interval(over_all - first))
        for name, (over_all, within) in found.items()
    ]


def _interval(values: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """The value of the sample, and the ends of its interval. A draw in which one side does not vary counts as 0."""
    ends = np.quantile(np.nan_to_num(values[1:]), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value, low, high = (None if math.isnan(number) else float(number) for number in (values[0], *ends))
    return (None, None, None) if value is None else (value, low, high)
