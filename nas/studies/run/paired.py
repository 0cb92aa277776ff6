"""Two models on the same inputs, compared input by input: what is hard for both then hides no difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.studies.run.rows import StoredFloat

RESAMPLES = 1000
TAIL = 0.025
"""What a 95 % interval leaves out at each end."""


@final
@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The mean of one model's values minus another's on the same inputs, and the ends of its 95 % interval."""

    mean: StoredFloat
    low: StoredFloat
    high: StoredFloat

    @property
    def certain(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def paired(first: Sequence[float], second: Sequence[float]) -> PairedDifference:
    """The mean of first - second, and a percentile bootstrap over the inputs, the same draws each time."""
    differences, rng = np.array(first) - np.array(second), np.random.default_rng(0)
    count = len(differences)
    means = [differences[rng.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [TAIL, 1 - TAIL])
    return PairedDifference(mean=float(differences.mean()), low=float(low), high=float(high))
