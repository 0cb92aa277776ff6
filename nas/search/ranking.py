"""Order trials by one or several objectives: non-dominated rank first, then crowding distance (NSGA-II,
doi:10.1109/4235.996017).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.search.problem import Objective, Trial, to_minimise


def best_first(losses: np.ndarray) -> list[int]:
    """Indices of the rows of `losses` (points, objectives; less is better), best first.

    With one objective that is a plain sort. Ties keep the order of the rows, so that the result never depends on
    chance.
    """
    if losses.shape[1] == 1:
        return [int(i) for i in np.argsort(losses[:, 0], kind="stable")]
    ranks = non_dominated_ranks(losses)
    crowding = np.zeros(len(losses))
    for rank in np.unique(ranks):
        crowding[ranks == rank] = crowding_distances(losses[ranks == rank])
    return [int(i) for i in np.lexsort((-crowding, ranks))]


def furthest_first(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[int]:
    """Indices of trials that did not fail, best first. Values on different shares of the images do not compare: those
    that were measured on more of them come before those that were given up earlier.
    """
    order: list[int] = []
    for share in sorted({trial.share for trial in trials}, reverse=True):
        places = [place for place, trial in enumerate(trials) if trial.share == share]
        order += [places[at] for at in best_first(to_minimise([trials[place] for place in places], objectives))]
    return order


def non_dominated_ranks(losses: np.ndarray) -> np.ndarray:
    """Rank per point, int64: 0 for those that no other dominates, 1 for those that only rank 0 dominates, and so on.
    Equal points share a rank.
    """
    no_worse = np.ones((len(losses), len(losses)), dtype=bool)
    for column in losses.T:  # ten times as fast as one comparison over three axes
        no_worse &= column[:, None] <= column[None, :]
    dominates = no_worse & ~no_worse.T
    above = dominates.sum(axis=0)  # how many of those that are not ranked yet dominate each point
    ranks = np.full(len(losses), -1, dtype=np.int64)
    rank = 0
    while (front := (above == 0) & (ranks < 0)).any():
        ranks[front] = rank
        above -= dominates[front].sum(axis=0)
        rank += 1
    return ranks


def crowding_distances(losses: np.ndarray) -> np.ndarray:
    """Per point of one front: the sum over objectives of the gap between its neighbours, each over the objective's
    range; infinite at the ends.
    """
    distances = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]]
        if spread == 0:
            continue
        distances[order[[0, -1]]] = np.inf
        distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return distances
