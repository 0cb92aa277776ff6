"""Whether a table of latencies tells the truth: random sub-networks, predicted and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nas.latency.table import LatencyTable
from nas.latency.timing import Timer, take_turns
from nas.supernets import Supernet


@final
@dataclass(frozen=True, eq=False)
class Prediction:
    """Of n sub-networks: milliseconds as predicted and as timed, and the spread of the times, as shares."""

    predicted: NDArray[np.float64]
    timed: NDArray[np.float64]
    spread: NDArray[np.float64]

    @property
    def tau(self) -> float:
        """Kendall's tau between both."""
        return float(kendalltau(self.predicted, self.timed).statistic)

    @property
    def error(self) -> float:
        """The median of the errors, as a share of what was timed."""
        return float(np.median(np.abs(self.predicted / self.timed - 1)))

    @property
    def noise(self) -> float:
        """The median spread of the times themselves."""
        return float(np.median(self.spread))


@torch.inference_mode()
def predicted_and_timed(
    table: LatencyTable, supernet: Supernet, count: int, *, timer: Timer | None = None, seed: int = 1
) -> Prediction:
    """Times `count` random sub-networks that the table was not made from, all in turn."""
    conditions, rng = table.conditions, np.random.default_rng(seed)
    drawn = [supernet.space.sample(rng) for _ in range(count)]
    images = torch.randn(conditions.batch, *conditions.image, device=next(supernet.parameters()).device)
    calls: Sequence[partial[object]] = [partial(supernet.extract(one).eval(), images) for one in drawn]
    timed = (timer or take_turns)(calls)
    return Prediction(
        table.milliseconds(supernet.space, drawn),
        np.array([one.milliseconds for one in timed]),
        np.array([one.spread for one in timed]),
    )
