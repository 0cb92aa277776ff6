"""Finalists: which of a search's trials are worth a training of their own before a winner is named.

Their scores are those of shared weights on a few hundred images: the best of hundreds is the best partly by luck. An
architecture that is nearer to the limit has more to learn with, which such a score does not see.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from nas import quantities
from nas.search.problem import Objective
from nas.search.ranking import fronts, to_minimise
from nas.search.trial import Trial

if TYPE_CHECKING:
    from nas.searchspaces.architecture import Architecture
    from nas.searchspaces.limit import Limit

APART = 0.25
"""The share of the choices in which finalists differ from one another, as far as there are enough trials."""


def finalists(trials: Iterable[Trial], objective: Objective, limit: Limit, count: int) -> list[Trial]:
    """Up to `count` distinct architectures within the limit, from the front of score and nearness to the limit, then
    from the front behind it, and so on; of a front the best scores first.

    One that is much like another tells little more than that: it comes in only where others are too few.
    """
    done = [trial for trial in trials if trial.state == "done" and limit.allows(trial.architecture)]
    pool = list({trial.architecture.digest: trial for trial in reversed(done)}.values())  # the first of each
    if not pool:
        return []
    score = to_minimise(pool, [objective])[:, 0]
    losses = np.stack([score, [-nearness(trial, limit) for trial in pool]], axis=1)
    order = [index for front in fronts(losses) for index in _best_first(front, losses, pool)]
    chosen: list[Trial] = []
    for apart in (APART, 0.0):
        for index in order:
            differences = [distance(pool[index].architecture, other.architecture) for other in chosen]
            if len(chosen) < count and all(part > 0 and apart <= part for part in differences):
                chosen.append(pool[index])
    return chosen


def nearness(trial: Trial, limit: Limit) -> float:
    """How much of what the limit allows an architecture costs, of the cost that uses most of it; 1 is all."""
    shares = [trial.costs[cost] / most for cost, (_, most) in limit.bounds.items() if np.isfinite(most)]
    return max(shares, default=float(trial.costs.get(quantities.SIZE, 0)))


def distance(first: Architecture, second: Architecture) -> float:
    """The share of the choices in which two architectures of a space differ, 0 to 1."""
    return sum(value != second[name] for name, value in first.items()) / len(first)


def _best_first(front: np.ndarray, losses: np.ndarray, pool: list[Trial]) -> list[int]:
    """Indices by score, ties by the digest, whatever the order of the trials."""
    return sorted(map(int, front), key=lambda index: (*losses[index], pool[index].architecture.digest))
