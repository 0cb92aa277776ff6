"""The most importance within the limit: a knapsack over units, solved exactly by dynamic programming over the choices.

Beyond the papers: a global threshold treats every unit alike, whatever it costs; this weighs what a unit is worth
against what it costs. Importance is taken as additive, so it is as right as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from nas.search.problem import Problem
from nas.search.sizing import Scores, Sizing, scored
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.space import SearchSpace


@final
@dataclass(frozen=True, kw_only=True)
class Knapsack(Sizing):
    """Sizes with the greatest sum of kept scores among all architectures within the limit.

    At a rank at which a matrix stays whole, it keeps all of its score. Where that is so only since other choices cut
    it, it is taken for factored: scores of choices are added, each by itself.
    """

    @override
    def size(self, problem: Problem, scores: Scores) -> Architecture:
        """Choices without scores prefer their largest value, before all else."""
        space = problem.space
        # What the first n units of an axis are worth together, for n from 0 to all.
        sums = {axis: np.concatenate(([0.0], np.cumsum(np.abs(values)))) for axis, values in scores.items()}
        known = scored(space, scores)
        # One step of a choice without scores is worth more than all scores together.
        whole = sum(float(total[-1]) for total in sums.values())
        worth = [
            np.array([sum(float(sums[axis][_kept(axis, size, space)]) for axis in size) for size in choice.sizes])
            if position in known
            else np.arange(len(choice.values), dtype=np.float64) * (whole + 1)
            for position, choice in enumerate(space.values())
        ]
        return space.from_table((problem.limit or space).lattice.best(worth))[0]


def _kept(axis: str, sizes: Mapping[str, int], space: SearchSpace) -> int:
    """Units that count: all directions of a matrix that stays whole at its rank."""
    whole = axis in space.outline.matrices and not space.outline.factored(axis, sizes)
    return space.outline.axes[axis] if whole else sizes[axis]
