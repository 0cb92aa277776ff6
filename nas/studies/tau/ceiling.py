"""The ceiling of a ranking: what a perfect score, the truth itself, would reach against a truth that is noisy.

By simulation: latent values that vary as much as the estimated signal are ranked against themselves with the estimated
noise. Under normality there are formulas (correction for attenuation): a perfect score correlates with the noisy truth
by the root of its reliability, and Kendall's and Spearman's coefficients follow. The tests compare both.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nas.studies.tau.noise import Repeated

DRAWS = 400
LEVEL = 0.95
"""Of all intervals of a ranking."""

Agreement = Callable[[np.ndarray, np.ndarray], float]
"""(scores, truth) -> how well the one predicts the other."""


def ceiling(truth: Repeated, agreement: Agreement, rng: np.random.Generator) -> tuple[float, float, float]:
    """The mean of what a perfect score reaches, and the ends of a 95 % interval; NaN where nothing was repeated
    or compared.

    0 where the truth is all noise: then there is nothing to rank.
    """
    if math.isnan(truth.noise):
        return math.nan, math.nan, math.nan
    if truth.signal == 0:
        return 0.0, 0.0, 0.0
    error = math.sqrt(truth.noise / truth.count)
    latent = _latent(truth)
    drawn = np.array([agreement(latent, latent + rng.normal(0, error, len(latent))) for _ in range(DRAWS)])
    # Not defined where no two architectures are compared, such as none of about the same size.
    reached = drawn[~np.isnan(drawn)]
    if not len(reached):
        return math.nan, math.nan, math.nan
    low, high = np.quantile(reached, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(reached.mean()), float(low), float(high)


def _latent(truth: Repeated) -> np.ndarray:
    """Values that lie as those measured, but vary as the signal alone: noise spreads what is measured."""
    mean = truth.mean
    spread = math.sqrt(truth.signal / float(mean.var(ddof=1)))
    return np.asarray(mean.mean() + spread * (mean - mean.mean()))
