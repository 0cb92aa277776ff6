"""Whether a table of latencies tells the truth: random sub-networks, predicted and timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nas.latency.building import timed_subnets
from nas.latency.table import Accuracy, LatencyTable
from nas.latency.timing import Timer, take_turns
from nas.supernets import Supernet


@final
@dataclass(frozen=True, eq=False)
class Prediction:
    """Of n sub-networks: milliseconds as predicted and as timed, and the noise of the times, as shares."""

    predicted: NDArray[np.float64]
    timed: NDArray[np.float64]
    noises: NDArray[np.float64]

    @property
    def tau(self) -> float:
        """Kendall's tau between both."""
        return float(kendalltau(self.predicted, self.timed).statistic)

    @property
    def errors(self) -> NDArray[np.float64]:
        """As shares of what was timed."""
        return np.abs(self.predicted / self.timed - 1)

    @property
    def error(self) -> float:
        """The median of the errors."""
        return float(np.median(self.errors))

    @property
    def noise(self) -> float:
        """The median noise of the times themselves."""
        return float(np.median(self.noises))

    @property
    def accuracy(self) -> Accuracy:
        """As tables say it."""
        most = float(np.quantile(self.errors, 0.95))
        return Accuracy(len(self.timed), self.error, most, float(np.nan_to_num(self.tau)), self.noise)


@torch.inference_mode()
def predicted_and_timed(
    table: LatencyTable, supernet: Supernet, count: int, *, timer: Timer | None = None, seed: int = 1
) -> Prediction:
    """Times `count` random sub-networks that the table was not made from, all in turn."""
    conditions, rng = table.conditions, np.random.default_rng(seed)
    drawn = [supernet.space.sample(rng) for _ in range(count)]
    images = torch.randn(conditions.batch, *conditions.image, device=next(supernet.parameters()).device)
    _, timed = timed_subnets(supernet, [], drawn, images, timer or take_turns)
    return Prediction(
        table.milliseconds(supernet.space, drawn),
        np.array([one.milliseconds for one in timed]),
        np.array([one.noise for one in timed]),
    )
