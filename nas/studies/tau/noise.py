"""How much of a measurement is noise: the same architectures measured several times, on common seeds or images.

A two-way analysis of variance, architectures by repeats. What a repeat does to all architectures alike (an easy part of
the images, a lucky seed) changes no ranking, and does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.studies.run.rank_results import Repeats


@final
@dataclass(frozen=True, eq=False)
class Repeated:
    """`values` of n architectures (rows), each measured k times (columns)."""

    values: np.ndarray

    @property
    def count(self) -> int:
        """Repeats."""
        return int(self.values.shape[1])

    @property
    def mean(self) -> np.ndarray:
        """Of each architecture: what is ranked."""
        means: np.ndarray = self.values.mean(axis=1)
        return means

    @property
    def noise(self) -> float:
        """Variance of one measurement that is its own: neither the architecture's nor the repeat's. NaN where nothing
        was repeated.
        """
        rows, columns = self.values.shape
        if rows < 2 or columns < 2:
            return math.nan
        means = self.values.mean(axis=1, keepdims=True) + self.values.mean(axis=0) - self.values.mean()
        return float(np.square(self.values - means).sum() / ((rows - 1) * (columns - 1)))

    @property
    def signal(self) -> float:
        """Variance between architectures that no number of repeats would take away; NaN where nothing was repeated."""
        return max(0.0, float(self.mean.var(ddof=1)) - self.noise / self.count)

    @property
    def repeats(self) -> Repeats:
        """The estimates, as they are kept."""
        known = not math.isnan(self.noise)
        return Repeats(self.count, self.signal if known else None, self.noise if known else None)
