"""Order trials by one or several objectives: non-dominated rank first, then crowding distance (NSGA-II,
doi:10.1109/4235.996017); and name the winner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import moocore
import numpy as np

from nas import quantities
from nas.errors import StrategyError
from nas.search.problem import Objective
from nas.search.trial import Trial

if TYPE_CHECKING:
    from nas.searchspaces.limit import Limit


def to_minimise(trials: Sequence[Trial], objectives: Sequence[Objective]) -> np.ndarray:
    """Float array (trials, objectives), less is better: maximised objectives are negated."""
    rows = [[-trial.value(o.metric) if o.maximise else trial.value(o.metric) for o in objectives] for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(trials), len(objectives))


def winner(trials: Iterable[Trial], objectives: Sequence[Objective], limit: Limit | None = None) -> Trial:
    """The best trial by the first objective among those done within the limit; ties go to less of `quantities.SIZE`
    (MACs), then to the lesser digest.

    Raises `StrategyError` when there is none, with the error of the first trial that failed.
    """
    trials = list(trials)
    candidates = [t for t in trials if t.state == "done" and (limit is None or bool(limit.allows(t.architecture)))]
    if not candidates:
        unfit = "none of them is within the limit" if trials else "there are no trials"
        reason = next((trial.error for trial in trials if trial.error), unfit)
        raise StrategyError(f"no winner among {len(trials)} trials: {reason}")

    def order(trial: Trial) -> tuple[float, int, str]:
        loss = float(to_minimise([trial], objectives[:1])[0, 0])
        return loss, trial.costs.get(quantities.SIZE, 0), trial.architecture.digest

    return min(candidates, key=order)


def best_first(losses: np.ndarray) -> list[int]:
    """Indices of the rows of `losses` (points, objectives; less is better), best first.

    With one objective that is a plain sort. Ties keep the order of the rows, so that the result never depends on
    chance.
    """
    if losses.shape[1] == 1:
        return [int(i) for i in np.argsort(losses[:, 0], kind="stable")]
    return [int(i) for front in fronts(losses) for i in front[loneliest_first(losses[front])]]


def furthest_first(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[int]:
    """Indices of trials that did not fail, best first. Values on different shares of the images do not compare: those
    that were measured on more of them come before those that were given up earlier.
    """
    order: list[int] = []
    for share in sorted({trial.share for trial in trials}, reverse=True):
        alike = [index for index, trial in enumerate(trials) if trial.share == share]
        losses = to_minimise([trials[index] for index in alike], objectives)
        order += [alike[rank] for rank in best_first(losses)]
    return order


def non_dominated_ranks(losses: np.ndarray) -> np.ndarray:
    """Rank per point, int64: 0 for those that no other dominates, 1 for those that only rank 0 dominates, and so on.
    Equal points share a rank.
    """
    return np.asarray(moocore.pareto_rank(losses), dtype=np.int64)


def fronts(losses: np.ndarray) -> list[np.ndarray]:
    """Indices of the points of each rank, ascending; the best rank first."""
    ranks = non_dominated_ranks(losses)
    by_rank = np.argsort(ranks, kind="stable")
    ends = np.cumsum(np.bincount(ranks)).tolist()
    return [by_rank[start:end] for start, end in pairwise([0, *ends])]


def loneliest_first(losses: np.ndarray) -> np.ndarray:
    """Positions of the points of one front, those with the greatest crowding distance first."""
    return np.argsort(-crowding_distances(losses), kind="stable")


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
