"""Whether a table of latencies tells the truth: random sub-networks, predicted and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nas.latency.table import Accuracy
from nas.latency.timing import StepTime

DRAWS = 400
"""Of noise, for the ceiling of Kendall's tau."""


@final
@dataclass(frozen=True, eq=False)
class Prediction:
    """Of n sub-networks: milliseconds as predicted and as timed, and the noise of the times, as shares."""

    predicted: NDArray[np.float64]
    timed: NDArray[np.float64]
    noises: NDArray[np.float64]

    @classmethod
    def of(cls, predicted: NDArray[np.float64], timed: Sequence[StepTime]) -> Prediction:
        """Of what was predicted, and of what was timed, in the same order."""
        milliseconds, noises = (
            np.array(of) for of in zip(*((one.milliseconds, one.noise) for one in timed), strict=True)
        )
        return cls(predicted, milliseconds, noises)

    def __getitem__(self, some: slice) -> Prediction:
        """The same of some of them."""
        return Prediction(self.predicted[some], self.timed[some], self.noises[some])

    @property
    def tau(self) -> float:
        """Kendall's tau between both."""
        return float(kendalltau(self.predicted, self.timed).statistic)

    @property
    def ceiling(self) -> float:
        """The tau that times without noise would reach against these: what is timed lies farther apart than what is
        true, so its spread is made as much less as noise has added, and noise drawn anew.
        """
        noise = self.timed * self.noises
        variance = float(self.timed.var(ddof=1))
        mean, true = self.timed.mean(), max(0.0, 1 - float((noise**2).mean()) / variance)
        latent, rng = mean + true**0.5 * (self.timed - mean), np.random.default_rng(0)
        drawn = (kendalltau(latent, latent + rng.normal(0, noise)).statistic for _ in range(DRAWS))
        return float(np.mean(list(drawn)))

    @property
    def spread(self) -> float:
        """The standard deviation of what was timed, as a share of its mean."""
        return float(self.timed.std(ddof=1) / self.timed.mean())

    @property
    def errors(self) -> NDArray[np.float64]:
        """As shares of what was timed."""
        return np.abs(self.predicted / self.timed - 1)

    @property
    def most(self) -> float:
        """What 95 in a hundred of the errors do not exceed."""
        return float(np.quantile(self.errors, 0.95))

    @property
    def bias(self) -> float:
        """The mean by which more was predicted than timed, as a share."""
        return float((self.predicted / self.timed - 1).mean())

    @property
    def error(self) -> float:
        """The median of the errors."""
        return float(np.median(self.errors))

    @property
    def noise(self) -> float:
        """The median noise of the times themselves."""
        return float(np.median(self.noises))


def accuracy(random: Prediction, even: Prediction) -> Accuracy:
    """As tables say it: the greater error of the two kinds, so that it holds for what a limit asks for, too."""
    return Accuracy(
        subnets=len(random.timed) + len(even.timed),
        error=max(random.error, even.error),
        most=max(random.most, even.most),
        tau=float(np.nan_to_num(random.tau)),
        noise=max(random.noise, even.noise),
    )
