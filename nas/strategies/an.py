"""AN: adjoined networks of one compression factor (Goel, MSc thesis, Arizona State University 2023, section 3.1).

Every block keeps 1/alpha of its units, and the network learns together with the whole one: that is `retrain: {loss:
adjoined}`, with the thesis's switches. What is divided is the space's matter: heads and hidden units (reading R2, the
default: `divide: [heads, mlp]`), the embedding as well (R1: `divide: [embed, heads, mlp], per: model`), or the inputs
of merging and classifier (R3: `divide: [heads, mlp, merging_in, head_in], per: model`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, final

from typing_extensions import override

from nas.errors import StrategyError
from nas.numbers import Trials, number
from nas.search.problem import Problem
from nas.search.search import Search
from nas.search.strategy import AskTell
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.axis_names import DEPTH, POSITIONS, dimension
from nas.searchspaces.choices._base import Choice
from nas.searchspaces.space import SearchSpace

WHOLE = POSITIONS | {DEPTH}
"""Dimensions that alpha does not divide: it is a factor of widths."""


@final
@dataclass(frozen=True, kw_only=True)
class An(AskTell):
    """Each choice takes its largest value that keeps at most 1/alpha of the units, or its smallest.

    alpha   every block keeps 1/alpha of its units; without it, the least alpha that the limit allows, one for the whole
            network
    """

    trials: Trials = 1
    alpha: Annotated[float, number(1, 1e6)] | None = None

    guided: ClassVar[bool] = False
    searches: ClassVar[bool] = False
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"alpha": 2},)

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` when alpha divides nothing, when the limit forbids it, or when neither is there."""
        if self.alpha is None and problem.limit is None:
            raise StrategyError(f"{problem.strategy}: give an alpha, such as 2, or the study a limit")
        self.architecture(problem)

    @override
    def ask(self, search: Search, number: int) -> Architecture:
        """The same architecture every time."""
        return self.architecture(search.problem)

    def architecture(self, problem: Problem) -> Architecture:
        """The architecture of alpha, or of the least alpha within the limit."""
        space = problem.space
        # Fractions, since 1/3 of 6 heads must be 2 of them, and not 1.9999.
        shares = [Fraction(1) / Fraction(str(self.alpha))] if self.alpha is not None else _shares(space)
        if self.alpha is not None and self.alpha > 1 and not any(_divided(c, shares[0]) for c in space.values()):
            least = min(share for share in _shares(space))
            raise StrategyError(
                f"{problem.strategy}: alpha {self.alpha:g} divides nothing in this space, whose least share of units "
                f"is {float(least):.3g}; allowed: alpha up to {float(1 / least):.3g}"
            )
        # One architecture per share, the greatest first; the first that the limit allows is that of the least alpha.
        table = space.canonical([[_index(choice, share) for choice in space.values()] for share in shares])
        allowed = [problem.allows(architecture) for architecture in space.from_table(table)]
        if not any(allowed):
            limit = problem.limit.describe() if problem.limit else ""
            tried = f"alpha {self.alpha:g} leaves" if self.alpha is not None else "even the greatest alpha leaves"
            raise StrategyError(
                f"{problem.strategy}: {tried} more than the limit ({limit}) or less than its lower bound; "
                "take another alpha, or add values to the space"
            )
        return space.from_table(table[allowed.index(True)])[0]


def _shares(space: SearchSpace) -> list[Fraction]:
    """All shares at which some choice changes its value, the greatest first."""
    return sorted({_share(choice, i) for choice in space.values() for i in range(len(choice.values))}, reverse=True)


def _share(choice: Choice, value: int) -> Fraction:
    """The greatest share of units that a value keeps on any of the choice's axes."""
    if any(dimension(axis) in WHOLE for axis in choice.axes):
        return Fraction(1)
    return max(Fraction(choice.sizes[value][axis], choice.sizes[-1][axis]) for axis in choice.axes)


def _index(choice: Choice, share: Fraction) -> int:
    """The largest value that keeps at most `share`; a choice that alpha does not divide takes its last one."""
    if any(dimension(axis) in WHOLE for axis in choice.axes):
        return len(choice.values) - 1
    fits = [i for i in range(len(choice.values)) if _share(choice, i) <= share]
    return fits[-1] if fits else 0


def _divided(choice: Choice, share: Fraction) -> bool:
    return _share(choice, 0) <= share
