"""Functions of a few choices as tables, and sums of them: all that counting and sampling need to know of rules and of
costs.

A space with 12 blocks has 10^12 architectures, but its cost is a sum of terms each of which looks at two or three
choices. Such a term is a `Factor`; the sum is an `Additive`; and what a million architectures cost is a few dozen
look-ups per architecture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import SpaceError

Table = NDArray[np.int64]
"""Architectures x choices: indices into the values of each choice."""
Indices = NDArray[np.integer[Any]]
"""Integers of any width, which become a `Table`."""

_CHUNK = 2048
"""Rows evaluated together: few enough that their columns and sums stay in the cache."""
_MOST = 2**60
"""Magnitude of a sum: the rest of int64 is left for doubling MACs to FLOPs, and for differences of sums."""


@final
@dataclass(frozen=True)
class Factor:
    """A function of a few choices: its value for every combination of their values.

    `table` has one dimension per entry of `choices` (their positions in the space, all different), as long as that
    choice has values. A boolean table is a rule (True: allowed), an int64 table is a cost.
    """

    choices: tuple[int, ...]
    table: NDArray[Any]

    def __post_init__(self) -> None:
        assert self.table.ndim == len(self.choices) == len(set(self.choices)), (
            "one dimension for each choice, each choice once"
        )
        assert self.table.dtype in (np.dtype(bool), np.dtype(np.int64)), (
            f"a table is bool or int64, not {self.table.dtype}"
        )

    def __call__(self, table: Table) -> NDArray[Any]:
        """The factor's value for every row of a table of architectures, shape (n,)."""
        return np.asarray(self.table[tuple(table[:, c] for c in self.choices)])

    def squeezed(self) -> Factor:
        """The factor without the choices that make no difference to it: they need not be remembered for it."""
        # Backwards, so that taking a dimension out does not move those still to be looked at.
        table = self.table
        kept: list[int] = []
        for dimension, choice in reversed(list(enumerate(self.choices))):
            first = table.take([0], dimension)
            if (table == first).all():
                table = first.squeeze(dimension)
            else:
                kept.insert(0, choice)
        return Factor(tuple(kept), table)

    def over(self, choices: Sequence[int]) -> NDArray[Any]:
        """The table turned into the order of `choices`, with dimensions of length 1 for those that it does not look
        at.
        """
        order = sorted(range(len(self.choices)), key=lambda d: choices.index(self.choices[d]))
        lengths = {self.choices[d]: self.table.shape[d] for d in order}
        return self.table.transpose(order).reshape([lengths.get(c, 1) for c in choices])


@final
@dataclass(frozen=True)
class AnyOf:
    """A rule that allows what at least one of some boolean factors allows.

    As one factor it would look at all their choices at once: at those of twelve blocks, for a rank that they share.
    """

    factors: tuple[Factor, ...]

    @classmethod
    def of(cls, factors: Iterable[Factor]) -> AnyOf:
        """The rule in few factors, each with no more choices than it needs."""
        return cls(tuple(_joined((factor.squeezed() for factor in factors), np.logical_or)))

    def __call__(self, table: Table) -> NDArray[np.bool_]:
        """Which rows of a table of architectures are allowed, shape (n,)."""
        return np.asarray(np.logical_or.reduce([factor(table) for factor in self.factors]))

    @property
    def always(self) -> bool:
        """Whether it allows everything."""
        return any(factor.table.all() for factor in self.factors)


Rule = Factor | AnyOf
"""What says which rows are architectures."""


@final
@dataclass(frozen=True)
class Additive:
    """A constant plus a sum of int64 factors: a cost of an architecture in closed form. Where there are `moments`, the
    greatest of them, at least 0, is added too: what is needed one after the other, and not together.

    Raises SpaceError when a sum may be too large for int64, since numpy would wrap it around in silence.
    """

    constant: int
    factors: tuple[Factor, ...]
    moments: tuple[Factor, ...] = ()
    _joint: tuple[Factor, ...] = field(init=False, repr=False, compare=False)
    _apart: tuple[Factor, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert all(f.table.dtype == np.int64 for f in (*self.factors, *self.moments)), "costs are int64"
        most = abs(self.constant) + sum(_magnitude(factor) for factor in (*self.factors, *self.moments))
        if most > _MOST:
            found = f"costs of up to {most:.3g}"
            raise SpaceError(f"the model is too large to count: found {found}; allowed: at most {_MOST:.3g}")
        object.__setattr__(self, "_joint", tuple(_joined(self.factors, np.add)))
        object.__setattr__(self, "_apart", _deciding(self.moments))

    def __call__(self, table: Table) -> NDArray[np.int64]:
        """Cost of every architecture of a table (n, choices) of indices: int64, shape (n,). Raises IndexError on an
        index out of range.
        """
        sums = np.full(len(table), self.constant, np.int64)
        # Transposed in chunks: a column of a chunk lies in one piece in the cache, and is read once per factor.
        for start in range(0, len(table), _CHUNK):
            rows = np.ascontiguousarray(table[start : start + _CHUNK].T)
            part = sums[start : start + _CHUNK]
            for factor in self._joint:
                part += _look_up(factor, rows)
            if self._apart:
                part += reduce(np.maximum, (_look_up(factor, rows) for factor in self._apart))
        return sums

    def times(self, multiple: int) -> Additive:
        """The same cost in another unit."""
        factors, moments = (
            tuple(Factor(factor.choices, multiple * factor.table) for factor in of)
            for of in (self.factors, self.moments)
        )
        return Additive(multiple * self.constant, factors, moments)

    def greatest(self, table: Table) -> NDArray[np.int64]:
        """What the fullest moment adds, of every architecture of a table."""
        return Additive(0, (), self._apart)(table)

    def as_sum(self, lengths: Sequence[int]) -> AsSum:
        """The same cost as a sum of factors alone, over the choices of these lengths and hidden ones behind them.

        The greatest of several factors is no sum, and a state that remembered each of them would have as many columns
        as there are moments. But the greatest so far is one number with few values: a hidden choice passes it on from
        one moment to the next. It follows from the others, so that every row has one completion: counts, draws and the
        best row are exact, and what the last moment makes of it is one more factor.
        """
        lengths, rules = list(lengths), list[Factor]()
        scope, so_far = tuple[int, ...](), np.zeros((), np.int64)
        for factor in self._apart[:-1]:
            greater = np.maximum(factor.table[(..., *(None for _ in scope))], so_far)
            so_far = np.unique(greater)
            follows = np.searchsorted(so_far, greater)[..., None] == np.arange(len(so_far))
            rules.append(Factor((*factor.choices, *scope, len(lengths)), follows))
            scope = (len(lengths),)
            lengths.append(len(so_far))
        totals = [
            Factor((*last.choices, *scope), np.maximum(last.table[(..., *(None for _ in scope))], so_far))
            for last in self._apart[-1:]
        ]
        return AsSum(lengths, rules, [*self.factors, *totals])


@final
@dataclass(frozen=True)
class AsSum:
    """Lengths of all choices, hidden ones at the end, the rules by which these follow, and the factors of the sum."""

    lengths: list[int]
    rules: list[Factor]
    factors: list[Factor]


def _deciding(moments: Sequence[Factor]) -> tuple[Factor, ...]:
    """The moments of which any may be the fullest, in few factors, in the order of their choices."""
    # What one of them needs at least is needed in any case: below it, moments do not differ.
    least = max((int(factor.table.min()) for factor in moments), default=0)
    raised = (Factor(factor.choices, np.maximum(factor.table, max(0, least))) for factor in moments)
    joined = _joined((factor.squeezed() for factor in raised), np.maximum)
    return tuple(sorted(joined, key=lambda factor: factor.choices))


def _magnitude(factor: Factor) -> int:
    """The greatest absolute value of a cost, as Python's int, which does not overflow."""
    return max(abs(int(factor.table.max(initial=0))), abs(int(factor.table.min(initial=0))))


def _look_up(factor: Factor, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values of a factor for `rows` (choices, n): one flat index, one gather, which numpy does faster than indexing
    with a tuple of columns.
    """
    if not factor.choices:
        return np.full(rows.shape[1], factor.table, np.int64)
    flat = rows[factor.choices[0]]
    for choice, length in zip(factor.choices[1:], factor.table.shape[1:], strict=True):
        flat = flat * length + rows[choice]
    return np.asarray(factor.table.ravel().take(flat))


def _joined(factors: Iterable[Factor], join: np.ufunc) -> list[Factor]:
    """The same sum, maximum or disjunction, in fewer factors: those whose choices another one also looks at go into its
    table.
    """
    # The ones with most choices first: they are the hosts of the others.
    joint: list[Factor] = []
    for factor in sorted(factors, key=lambda f: -len(f.choices)):
        host = next((i for i, other in enumerate(joint) if set(factor.choices) <= set(other.choices)), None)
        if host is None:
            joint.append(factor)
        else:
            joint[host] = Factor(joint[host].choices, join(joint[host].table, factor.over(joint[host].choices)))
    return joint
