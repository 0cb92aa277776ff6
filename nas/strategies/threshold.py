"""One threshold on the importance of all units: what lies below it is cut.

Sizing of SiDT (Xue et al., Searching Intrinsic Dimensions of Vision Transformers, 2022) and of VTP (arXiv 2104.08500).
Ours differs: the cut may be given as a limit, for which the threshold is found exactly, and it is made on the space's
own sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import numpy as np
from typing_extensions import override

from nas.documents.conditions import Is, ReadWith
from nas.errors import StrategyError, nearest
from nas.numbers import UnitCount, below
from nas.search.problem import Problem
from nas.search.sizing import Scores, Sizing, scored
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.axis_names import dimension
from nas.searchspaces.choices._base import Choice

Comparison = Literal["global", "global_per_kind", "per_layer", "energy"]
Ratio = Annotated[float, below(0, 1)]


@final
@dataclass(frozen=True, kw_only=True)
class Threshold(Sizing):
    """Cuts the least important units, first those with the lowest rank in their pool.

    ranking    who is compared with whom: all units (global), those of one dimension, such as mlp, over all layers
               (global_per_kind), or those of one axis (per_layer: every layer loses the same share of its units;
               energy: the same share of its importance, so that a ratio of 0.1 keeps 90 % of it)
    ratio      share of all units to cut; or, unless all are compared, one for each dimension ({mlp: 0.3}),
               of which those that are not named stay whole. Where the study has a limit too, more is cut until it is
               kept. Without a ratio, as little as the limit allows
    round_to   sizes are multiples of this, as far as the space has them; an axis that is not cut stays whole
    min_keep   fewest units that stay on an axis
    """

    ranking: Comparison = "global"
    # Within one axis, a common factor changes no rank.
    normalise: Annotated[bool, ReadWith(Is("ranking", "global", "global_per_kind"))] = False
    ratio: Ratio | Mapping[str, Ratio] | None = None
    round_to: UnitCount = 1
    min_keep: UnitCount = 1

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` when nothing says how much to cut, or the criterion has nothing to score."""
        super().check(problem)
        self._check_dimensions(problem)
        if self.ratio is None and problem.limit is None:
            raise StrategyError(
                f"{problem.strategy}: nothing says how much to cut; give a limit, such as limit: {{macs: 50%}}, "
                "or a ratio, such as 0.5"
            )

    @override
    def size(self, problem: Problem, scores: Scores) -> Architecture:
        """The first threshold, from the lowest, at which ratio and limit are kept."""
        table = self.table(problem, scores)
        allowed = np.ones(len(table), bool) if problem.limit is None else problem.limit.allows(table)
        if not allowed.any():
            assert problem.limit is not None
            raise StrategyError(
                f"{problem.strategy}: no threshold meets the limit ({problem.limit.describe()}): even the highest "
                f"leaves {dict(problem.space.from_table(table[-1:])[0])}; lower round_to ({self.round_to}) or min_keep "
                f"({self.min_keep}), or give the space smaller sizes"
            )
        return problem.space.from_table(table[int(allowed.argmax())])[0]

    def table(self, problem: Problem, scores: Scores) -> np.ndarray:
        """The architectures of all thresholds from `ratio` on, int (thresholds, choices): each cuts one unit more."""
        space = problem.space
        ranks = _ranks(scores, self.ranking)
        known = scored(space, scores)
        # Ranks are shares of a pool, so a ratio is itself a threshold: what ranks below it is cut. From one rank that
        # occurs to the next, all thresholds cut the same, so the ranks are all that need trying; at 1, everything goes.
        cuts = np.unique(np.concatenate([[0.0, 1.0], *(ranks[axis] for axes in known.values() for axis in axes)]))
        # A ratio that cuts more than a threshold stands: the first row, of the lowest threshold, is that of the ratios.
        lowest = min(map(self._least, scores))
        cuts = np.append(lowest, cuts[cuts > lowest])
        table = np.tile(space.to_table([space.largest]), (len(cuts), 1))
        for position, choice in enumerate(space.values()):
            if position in known:
                kept = np.sum(
                    [_above(ranks[axis], np.maximum(cuts, self._least(axis))) for axis in choice.axes], axis=0
                )
                table[:, position] = self._nearest(choice, kept)
        return space.canonical(table)

    def _least(self, axis: str) -> float:
        """The share of an axis's pool that is cut in any case."""
        if isinstance(self.ratio, Mapping):
            return self.ratio.get(dimension(axis), 0.0)
        return self.ratio or 0.0

    def _check_dimensions(self, problem: Problem) -> None:
        """Raise `StrategyError` for ratios of dimensions that the space does not choose, or that share a pool."""
        if not isinstance(self.ratio, Mapping):
            return
        if self.ranking == "global":
            raise StrategyError(
                f"{problem.strategy}: a ratio for each dimension, and ranking: global, which compares all of them; "
                "allowed: one ratio, or ranking: global_per_kind, per_layer, energy"
            )
        chosen = sorted({dimension(axis) for axis in problem.space.axes})
        for name in self.ratio:
            if name not in chosen:
                allowed = f"{', '.join(chosen)}{nearest(name, chosen)}"
                raise StrategyError(
                    f"{problem.strategy}: ratio.{name}: the space does not choose it; allowed: {allowed}"
                )

    def _nearest(self, choice: Choice, kept: np.ndarray) -> np.ndarray:
        """Indices of the values whose units are nearest to how many shall stay (`kept`); the larger of two."""
        last = len(choice.values) - 1
        fits = [
            index for index, size in enumerate(choice.sizes)
            if index == last or all(n >= self.min_keep and n % self.round_to == 0 for n in size.values())
        ]  # fmt: skip
        units = np.array([sum(choice.sizes[index].values()) for index in fits])
        middles = (units[:-1] + units[1:]) / 2
        return np.array(fits)[np.searchsorted(middles, kept, side="right")]


def _above(ranks: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """How many units have at least the rank of each cut."""
    return len(ranks) - np.searchsorted(np.sort(ranks), cuts, side="left")


def _ranks(scores: Scores, ranking: Comparison) -> dict[str, np.ndarray]:
    """Axis -> rank of each unit in its pool by |score|: the share of the pool that comes before it, in [0, 1)."""
    if ranking == "energy":
        return {axis: _tail(np.abs(values)) for axis, values in scores.items()}
    pools: dict[str, list[str]] = {}
    for axis in scores:
        pool = {"global": "", "global_per_kind": dimension(axis), "per_layer": axis}[ranking]
        pools.setdefault(pool, []).append(axis)
    return {axis: ranks for pool in pools.values() for axis, ranks in _pooled(scores, pool).items()}


def _tail(sizes: np.ndarray) -> np.ndarray:
    """For each unit, the share of its axis's importance that is cut with it: its own, and that of all less important
    ones. In [0, 1).
    """
    order = np.argsort(-sizes, kind="stable")  # most important first
    tail = np.empty(len(sizes))
    # Summed from the least important unit up, and put back where each unit stands.
    tail[order] = np.cumsum(sizes[order][::-1])[::-1] / max(float(sizes.sum()), 1e-30)
    # The most important unit's share is 1, taken a hair lower: at the last threshold, 1, it is to be cut as well.
    return np.minimum(tail, 1 - 1e-12)


def _pooled(scores: Scores, axes: Sequence[str]) -> dict[str, np.ndarray]:
    """Axis -> ranks of its units in one pool. Of equal scores, the one that stands later in its axis is cut first."""
    # All units of the pool in one row, axis after axis.
    sizes = np.concatenate([np.abs(scores[axis]) for axis in axes])
    position = np.concatenate([np.arange(len(scores[axis])) for axis in axes])
    ranks = np.empty(len(sizes))
    # By size, the least first; then by position, the last first (lexsort's last key comes first). The n-th of them has
    # n / all units before it.
    ranks[np.lexsort((-position, sizes))] = np.arange(len(sizes)) / len(sizes)
    # And back into axes.
    ends = np.cumsum([len(scores[axis]) for axis in axes])
    return dict(zip(axes, np.split(ranks, ends[:-1]), strict=True))
