"""Variable elimination: the order in which choices are decided, and what deciding each of them does, as dense tables.

A sum over all architectures of a product of factors looks exponential, but every factor looks at few choices. Decide
the choices one by one. A choice that is decided must be remembered only as long as a factor that looks at it waits
for another choice; then it is eliminated. What must be remembered at a time is the *frontier*. In a transformer whose
costs are sums over blocks it is empty between blocks; where tokens never grow it is one choice, the tokens of the
last block; a choice with global reach, such as depth or embed, simply stays in it until the last block is done. A
*code* numbers the combinations of values in the frontier.

A different order has a different frontier. The best order is NP-hard to find; the greedy one below is the natural one
for a chain of blocks, whatever the order in which the space lists its choices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import SpaceError
from nas.searchspaces.counting.factors import Additive, Factor, Rule

_MOST = 2**22
"""Entries of a dense table: beyond it the choices depend on each other in too many ways."""


@final
@dataclass(frozen=True)
class Elimination:
    """Deciding one choice. Legend of shapes: A codes before the step, B codes after it, V values of the choice, K
    costs.
    """

    choice: int
    follow: NDArray[np.int64]
    """Code after, for code before and value: A x V."""
    open: NDArray[np.bool_]
    """Whether the rules allow the value and at least one way to decide the rest: A x V."""
    gain: NDArray[np.int64]
    """What each cost gains: A x V x K; zero where not open."""

    @property
    def values(self) -> int:
        """Number of values of the choice."""
        return int(self.follow.shape[1])


def steps(n_values: Sequence[int], rules: Sequence[Rule], costs: Sequence[Additive]) -> list[Elimination]:
    """The steps that decide all choices of a space under rules, with the gains of K costs, constants left out.

    Choices behind those of `n_values` are hidden ones, which follow from the others. Raises SpaceError when the choices
    depend on each other in too many ways for a table.
    """
    n_values, plain = _plain(n_values, rules)
    sums: list[list[Factor]] = []
    for cost in costs:
        as_sum = cost.as_sum(n_values)
        n_values, plain = as_sum.lengths, [*plain, *as_sum.rules]
        sums.append(as_sum.factors)
    # The rules come first, then one list for each cost.
    every = [[factor.squeezed() for factor in factors] for factors in (plain, *sums)]
    scopes = [set(factor.choices) for factors in every for factor in factors]
    waits = _neighbours(len(n_values), scopes)
    frontier: list[int] = []
    decided: set[int] = set()
    plan: list[Elimination] = []
    for choice in _order(n_values, scopes, _reach(n_values, every[1:])):
        # The tables of this step have a dimension for each choice that must be known now.
        scope = [*frontier, choice]
        lengths = [n_values[c] for c in scope]
        if math.prod(lengths) > _MOST:
            ways = math.prod(lengths)
            raise SpaceError(
                f"{len(scope)} choices depend on each other in {ways} ways; at most {_MOST} can be counted"
            )
        # A factor is counted once, at the step that decides the last of its choices. `due[0]` are the rules.
        due = [[f for f in factors if _due(f, choice, decided)] for factors in every]
        decided.add(choice)
        # What no undecided choice waits for is forgotten: states that differ in it only become one.
        stays = [c for c in scope if waits[c] - decided]
        shape = (math.prod(lengths[:-1]), lengths[-1])
        follow = _codes(scope, lengths, stays, n_values).reshape(shape)
        allowed = _dense(due[0], scope, lengths, np.logical_and, True).reshape(shape)
        gains = [_dense(factors, scope, lengths, np.add, 0).reshape(shape) for factors in due[1:]]
        plan.append(
            Elimination(choice, follow, allowed, np.stack(gains, -1) if gains else np.zeros((*shape, 0), np.int64))
        )
        frontier = stays
    return _closed(plan)


def rest(
    plan: Sequence[Elimination], gains: Sequence[NDArray[np.int64]]
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Least and greatest sum that the steps still to come can add, for every code: one array (codes, K) before each
    step and one after all.

    `gains` are tables A x V x K, one per step. Codes from which nothing can be completed have 0.
    """
    # Dynamic programming from the end: after the last step nothing can be added. `far` stands in for infinity at values
    # that are not open; a quarter of the range leaves room to add a gain to it.
    width = gains[0].shape[-1]
    least, most = [np.zeros((1, width), np.int64)], [np.zeros((1, width), np.int64)]
    far = np.iinfo(np.int64).max // 4
    for step, gain in zip(reversed(plan), reversed(gains), strict=True):
        open_ = step.open[:, :, None]
        low = np.where(open_, gain + least[0][step.follow], far).min(1)
        high = np.where(open_, gain + most[0][step.follow], -far).max(1)
        dead = ~step.open.any(1)
        low[dead], high[dead] = 0, 0
        least.insert(0, low)
        most.insert(0, high)
    return least, most


def _plain(n_values: Sequence[int], rules: Sequence[Rule]) -> tuple[list[int], list[Factor]]:
    """Rules as factors alone, and the lengths of all choices, hidden ones at the end.

    Whether any of several factors holds is passed on from one to the next by a hidden choice between no and yes. It
    follows from the others, so that every row has one completion, and counts stay what they are.
    """
    lengths, plain = list(n_values), list[Factor]()
    for rule in rules:
        if isinstance(rule, Factor):
            plain.append(rule)
            continue
        *earlier, last = rule.factors
        scope: tuple[int, ...] = ()
        holds = np.zeros((), bool)  # what is passed on: at first, that none has held so far
        for factor in earlier:
            hidden = len(lengths)
            lengths.append(2)
            # One dimension per choice of the factor, one for what is passed on, and one for what is passed on now.
            held = factor.table[(..., *(None for _ in scope))] | holds
            plain.append(Factor((*factor.choices, *scope, hidden), held[..., None] == np.array([False, True])))
            scope, holds = (hidden,), np.array([False, True])  # from here on, what the one before passed on
        plain.append(Factor((*last.choices, *scope), last.table[(..., *(None for _ in scope))] | holds))
    return lengths, plain


def _due(factor: Factor, choice: int, decided: set[int]) -> bool:
    """Whether a factor waits for this choice alone; one that looks at no choice is due at the first step."""
    if not factor.choices:
        return not decided
    return choice in factor.choices and decided.issuperset(set(factor.choices) - {choice})


def _neighbours(n: int, scopes: Iterable[set[int]]) -> list[set[int]]:
    """Per choice: the choices that share a factor with it."""
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for scope in scopes:
        for choice in scope:
            neighbours[choice] |= scope - {choice}
    return neighbours


def _reach(n_values: Sequence[int], costs: Sequence[Sequence[Factor]]) -> NDArray[np.float64]:
    """How much the cost depends on each choice: the spans of the tables that look at it, costs normalised and added."""
    reach = np.zeros((len(costs), len(n_values)))
    for k, factors in enumerate(costs):
        for factor in factors:
            reach[k, list(factor.choices)] += float(np.ptp(factor.table))
    # Each cost counts alike, whatever its unit. Rounded, or the order of ties would hang on the last bit of a sum.
    total = reach.sum(1, keepdims=True)
    return np.asarray(np.round((reach / np.where(total > 0, total, 1)).sum(0), 12))


def _order(n_values: Sequence[int], scopes: Sequence[set[int]], reach: NDArray[np.float64]) -> list[int]:
    """All choices, group by group: a choice together with all that it waits for, so that it can be forgotten at once.

    Taken is the group with the least product of the codes that it leaves and the codes that it needs in between: either
    alone is short-sighted, since a choice with global reach leaves little when everything is decided at once. Of groups
    that leave no more codes than there are, the one with the greatest reach is first, so that what is left to come, and
    with it the range of the sums that matter, shrinks quickly. Where codes grow, a chain begins, at the first of them.
    """
    waits = _neighbours(len(n_values), scopes)
    frontier, order = set[int](), list[int]()

    def codes(choices: Iterable[int]) -> int:
        """Combinations of values of some choices."""
        return math.prod(n_values[c] for c in choices)

    def cost(choice: int) -> tuple[int, float]:
        """Of deciding a choice and its group next; the group with the least is taken."""
        group = waits[choice] | {choice}
        through = frontier | group
        # Left in the frontier: what still waits for a choice outside the group.
        after = codes(c for c in through if waits[c] - group)
        return after * codes(through), -float(reach[choice]) if after <= codes(frontier) else 0.0

    left = set(range(len(n_values)))
    while left:
        # Sorted, so that the first of equals wins, and the order is the same everywhere.
        first = min(sorted(left), key=cost)
        # The choice itself comes last: when it is decided, nothing waits for it any more.
        for choice in (*sorted(waits[first]), first):
            left.remove(choice)
            order.append(choice)
            for other in waits[choice]:
                waits[other].discard(choice)
            frontier = {c for c in (*frontier, choice) if waits[c]}
    return order


def _codes(
    scope: Sequence[int], lengths: Sequence[int], stays: Sequence[int], n_values: Sequence[int]
) -> NDArray[np.int64]:
    """The code of the choices that stay, for every combination of values of the scope."""
    # A number in a mixed base, the last choice varying fastest. Broadcasting spreads each digit over the scope.
    codes = np.zeros(lengths, np.int64)
    stride = 1
    for choice in reversed(stays):
        shape = [n_values[c] if c == choice else 1 for c in scope]
        codes += stride * np.arange(n_values[choice]).reshape(shape)
        stride *= n_values[choice]
    return codes


def _dense(
    factors: Iterable[Factor], scope: Sequence[int], lengths: Sequence[int], join: Any, empty: bool | int
) -> NDArray[Any]:
    """Factors joined into one table over the scope."""
    table: NDArray[Any] = np.full(lengths, empty, bool if isinstance(empty, bool) else np.int64)
    for factor in factors:
        join(table, factor.over(scope), out=table)
    return table


def _closed(plan: Sequence[Elimination]) -> list[Elimination]:
    """The steps with every way closed that no later step can complete: no draw ever runs into a dead end."""
    closed: list[Elimination] = []
    reachable: NDArray[np.bool_] = np.ones(1, bool)
    for step in reversed(plan):
        way = step.open & reachable[step.follow]
        closed.insert(0, Elimination(step.choice, step.follow, way, np.where(way[:, :, None], step.gain, 0)))
        reachable = np.asarray(way.any(1))
    return closed
