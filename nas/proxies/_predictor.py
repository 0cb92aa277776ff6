"""Predictors: scores that are learned from a few architectures that were retrained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from nas import quantities
from nas.proxies._base import Evidence, Proxy
from nas.searchspaces import Architecture
from nas.supernets import Cost

Reals = NDArray[np.float64]
Fit = Callable[[Reals, Reals, Reals], Reals]
"""(rows that are known, what they reach, other rows) -> what the others reach."""


@dataclass(frozen=True, kw_only=True)
class Predictor(Proxy):
    """Learns from the truth of the other architectures, and never sees the one that it predicts."""

    @abstractmethod
    def predict(self, known: Reals, values: Reals, unknown: Reals) -> Reals:
        """What architectures `unknown` (m, features) reach, learned from those `known` (n, features) and what they
        reach, `values` (n,). Features and values have means of 0 over the known ones, features variances of 1.
        """

    @final
    @override
    def scores(self, evidence: Evidence, architectures: Sequence[Architecture]) -> Reals:
        """Raises `KeyError` where the truth of one is not in the evidence."""
        truth = np.array([evidence.truth[architecture.digest] for architecture in architectures], np.float64)
        return left_out(self.predict, encoded(evidence.supernet.cost, architectures), truth)


def encoded(cost: Cost, architectures: Sequence[Architecture]) -> Reals:
    """A row for each architecture: for each choice, where its value stands among all (0 to 1), then the counted
    quantities, as shares of the whole model's.
    """
    most = np.array([max(1, len(choice.values) - 1) for choice in cost.space.values()])
    positions = cost.space.to_table(architectures) / most
    sizes = [cost.of(one.name, architectures) / cost.base(one.name) for one in quantities.counted()]
    return np.column_stack([positions, *sizes]).astype(np.float64)


def left_out(fit: Fit, rows: Reals, truth: Reals) -> Reals:
    """For each row, by how much it is predicted to exceed the others, learned from these alone.

    Not what it is predicted to reach: the mean of the others is low where its own truth is high, so a prediction that
    knows nothing else would rank in reverse. A rest of that stays: what is learned without a row leans away from it. By
    simulation, where there is nothing to learn tau is -0.1 for 14 architectures, in place of 0.
    """
    predicted = np.empty(len(rows))
    for position in range(len(rows)):
        others = np.delete(np.arange(len(rows)), position)
        known, values = rows[others], truth[others]
        spread = known.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        middle = known.mean(axis=0)
        (predicted[position],) = fit(
            (known - middle) / scale, values - values.mean(), (rows[[position]] - middle) / scale
        )
    return predicted
