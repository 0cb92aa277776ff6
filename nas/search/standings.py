"""Trials in order, best first, kept while they come in: a search of thousands asks for one of the best of them before
each proposal, and to sort all anew each time takes longer than to measure one.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import final, overload

import numpy as np
from typing_extensions import override

from nas.search.problem import Objective
from nas.search.ranking import fronts, loneliest_first, to_minimise
from nas.search.trial import Trial

FEW = 8
"""Points that came since the order was last asked for: so many are put into their fronts one by one, more (a search
that is resumed) are sorted with all others.
"""


FAR = 32
"""Fronts that one new point may change. Where it would be more, sorting all is faster."""


@final
class Fronts:
    """Points in non-dominated fronts, the best first; a place in that order is found without sorting all.

    The order is that of `nas.search.ranking.best_first`, to the last tie.
    """

    def __init__(self, losses: np.ndarray) -> None:
        """`losses` is float (points, objectives), less is better."""
        self._losses, self._points = losses, len(losses)
        self._fronts: list[np.ndarray] = []
        """Indices of the points of each rank, ascending."""
        self._orders: dict[int, np.ndarray] = {}
        """The same in their order, of the ranks for which it was asked since the last point came."""
        self._sort()

    def __len__(self) -> int:
        return self._points

    def at(self, place: int) -> int:
        """The index of the point that has this place, 0 for the best."""
        rank = 0
        while place >= len(self._fronts[rank]):
            place -= len(self._fronts[rank])
            rank += 1
        if rank not in self._orders:
            members = self._fronts[rank]
            self._orders[rank] = members[loneliest_first(self._losses[members])]
        return int(self._orders[rank][place])

    def add(self, point: np.ndarray) -> None:
        """Put in one more point (objectives,); its index is the number of those before it.

        A front whose points the new one dominates gives them to the next front, which may have to give way to them in
        turn ("efficient non-domination level update", doi:10.1109/TCYB.2016.2621008).
        """
        arriving = np.array([self._append(point)])
        self._orders = {}
        # A front with a point that dominates the new one has another such front before it, if it is not the first.
        first = bisect_left(self._fronts, True, key=lambda members: not self._pushed(members, arriving).any())
        for rank in range(first, first + FAR):
            if rank == len(self._fronts):
                self._fronts.append(arriving)
                return
            members = self._fronts[rank]
            pushed = self._pushed(arriving, members)
            if pushed.all():  # all fronts from here on are one further back, as they are
                self._fronts.insert(rank, arriving)
                return
            self._fronts[rank] = np.sort(np.concatenate([members[~pushed], arriving]))
            arriving = members[pushed]
            if not len(arriving):
                return
        self._sort()

    def _sort(self) -> None:
        self._fronts = fronts(self._losses[: self._points])
        self._orders = {}

    def _append(self, point: np.ndarray) -> int:
        if self._points == len(self._losses):
            room = np.zeros((max(64, self._points), len(point)))
            self._losses = np.concatenate([self._losses.reshape(-1, len(point)), room])
        self._losses[self._points] = point
        self._points += 1
        return self._points - 1

    def _pushed(self, by: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Bool (members,): which of the points with these indices one of `by` dominates."""
        better, other = self._losses[by].T[:, :, None], self._losses[members].T[:, None, :]
        no_worse, somewhere = better[0] <= other[0], better[0] < other[0]
        for mine, theirs in zip(better[1:], other[1:], strict=True):
            no_worse &= mine <= theirs
            somewhere |= mine < theirs
        return np.asarray((no_worse & somewhere).any(axis=0))


class Placed(Sequence[Trial]):
    """Trials by their places, 0 for the best."""

    @overload
    def __getitem__(self, place: int) -> Trial: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Trial]: ...
    @override
    def __getitem__(self, place: int | slice) -> Trial | Sequence[Trial]:
        places = range(len(self))[place]
        return self._at(places) if isinstance(places, int) else [self._at(each) for each in places]

    @abstractmethod
    def _at(self, place: int) -> Trial:
        """The trial at a place, which is not negative."""


@final
class Ranking(Placed):
    """Trials whose values compare, best first: by non-dominated rank, then by crowding distance, then as they came."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = objectives
        self._trials: list[Trial] = []
        self._losses = array("d")
        """Those of all trials, one after the other."""
        self._fronts = Fronts(np.zeros((0, len(objectives))))

    def add(self, trial: Trial) -> None:
        """One more trial. It is put in its place when a place is asked for."""
        self._trials.append(trial)
        self._losses.extend(to_minimise([trial], self._objectives)[0])

    @override
    def __len__(self) -> int:
        return len(self._trials)

    @override
    def _at(self, place: int) -> Trial:
        if len(self._fronts) < len(self._trials):
            self._place()
        return self._trials[self._fronts.at(place)]

    def _place(self) -> None:
        """Put those in their places that came since the last time."""
        losses = np.array(self._losses).reshape(len(self._trials), len(self._objectives))
        new = losses[len(self._fronts) :]
        if len(new) > FEW:
            self._fronts = Fronts(losses)
        else:
            for point in new:
                self._fronts.add(point)


@final
class Standings(Placed):
    """The trials of a search that did not fail, best first. Values on different shares of the images do not compare:
    those that were measured on more of them come before those that were given up earlier.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = objectives
        self.done = Ranking(objectives)
        """Those that were measured on all images."""
        self._by_share = {1.0: self.done}

    def add(self, trial: Trial) -> None:
        """One more trial; one that failed has no place."""
        if trial.state != "failed":
            self._by_share.setdefault(trial.share, Ranking(self._objectives)).add(trial)

    @override
    def __len__(self) -> int:
        return sum(map(len, self._by_share.values()))

    @override
    def _at(self, place: int) -> Trial:
        for share in sorted(self._by_share, reverse=True):
            if place < len(self._by_share[share]):
                break
            place -= len(self._by_share[share])
        return self._by_share[share][place]
