"""Counts, draws and optimises over all architectures whose costs lie within bounds, without enumerating or rejecting
any.

The architectures are the paths through a layered graph, the lattice. Layer t holds the *states* that the first t
choices can end in, where two beginnings are one state when everything that can follow is the same for both: they
agree in the frontier (see `elimination`) and in the costs summed so far. An edge decides the next choice. Of a
million beginnings of a DeiT-Ti a few hundred states are left, since what 12 blocks of 1 to 3 heads cost depends only
on how many heads there are.

* The number of paths into a state is the sum over its incoming edges: this counts the architectures.
* Walked back from the end, each edge taken in proportion to the paths that it brings, this draws one uniformly.
* With the greatest score of a path instead of the number of paths, the same walk finds the best one (Viterbi).

Three things keep the layers small. **A bound is one-sided**: every bound reads "a sum is at most a limit"; a lower
bound is an upper one on the negated sum, a band is two bounds. **Pruned**: a state that exceeds a limit even with the
least that is still to come has no path to the end, and is dropped. **Settled**: a state that stays within a limit
even with the most that is still to come no longer needs its sum, which is raised to that of the worst settled state.
Both are exact, and both use the least and the most of the rest, known beforehand for every code.

When a layer still has more than `max_states` states, sums that are nearly equal are *binned*, and each bin is as bad
as its worst member. So whatever is drawn is within the bounds, each represented architecture with equal chance, but a
few that are barely within are lost: `exact` is False. Under a single bound none of this can empty the lattice, for the
worst member of a bin has itself a path to the end; under several it can, when very little fits.

Time and memory are O(choices x max_states x values), plus a sort per layer; a lattice is built once and drawn from in
a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import LimitError
from nas.searchspaces.counting.elimination import Elimination, rest, steps
from nas.searchspaces.counting.factors import Additive, Rule, Table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_HUGE = 2.0**512
"""Counts beyond it are scaled down, so that the largest spaces do not overflow."""


@final
@dataclass(frozen=True)
class _Layer:
    """The edges from one layer of states to the next, in CSR form: those into state s are `edges[ends[s]:ends[s +
    1]]`.
    """

    choice: int
    values: int
    edges: NDArray[np.int64]
    """state before x values + value, ordered by state after."""
    ends: Ints
    weights: Floats
    """Paths into each state before, up to a factor common to the layer."""


@final
class Lattice:
    """All architectures that obey the rules and whose costs lie within the bounds."""

    def __init__(
        self,
        n_values: Sequence[int],
        rules: Sequence[Rule] = (),
        costs: Sequence[Additive] = (),
        bounds: Sequence[tuple[float, float]] = (),
        max_states: int = 2**16,
    ) -> None:
        """`bounds` are the least and the greatest value allowed of each cost, both inclusive; infinite where there is
        none.

        Raises SpaceError when the choices depend on each other in too many ways. A lattice may be empty: its count is
        0.
        """
        assert len(costs) == len(bounds), "two bounds for each cost"
        self.n_values = tuple(n_values)
        self.max_states = max_states
        self.exact = True
        """Whether every architecture within the bounds is represented."""
        plan = steps(n_values, rules, costs)
        least, most = rest(plan, [step.gain for step in plan])
        self.reachable = tuple(
            (int(low) + cost.constant, int(high) + cost.constant)
            for cost, low, high in zip(costs, least[0][0], most[0][0], strict=True)
        )
        """Least and greatest value of each cost under the rules, whatever the bounds."""
        self._layers: list[_Layer] = []
        self._last: Floats = np.zeros(0)
        self.count = 0
        """Number of architectures represented; exact below 2^53, and always when there are no costs."""
        self._build(plan, *_one_sided(plan, costs, bounds))

    def sample(self, rng: np.random.Generator, n: int) -> Table:
        """N architectures, uniform and independent, as a table (n, choices). Raises LimitError when there are none."""
        self._refuse_empty()
        if n == 0:
            return np.empty((0, len(self.n_values)), np.int64)
        # Backwards from the last states, each in proportion to the paths that end there.
        shares = np.cumsum(self._last) / self._last.sum()
        states = np.minimum(np.searchsorted(shares, rng.random(n), side="right"), len(shares) - 1)
        table = np.empty((n, len(self._layers)), np.int64)  # one layer per choice, hidden ones included
        for layer in reversed(self._layers):
            edges = _drawn(layer, states, rng)
            states, table[:, layer.choice] = np.divmod(edges, layer.values)
        return np.ascontiguousarray(table[:, : len(self.n_values)])

    def best(self, scores: Sequence[Floats]) -> Ints:
        """The row with the greatest sum of `scores[choice][value]`, shape (choices,). Raises LimitError when there is
        none.
        """
        self._refuse_empty()
        hidden = sorted((layer.choice, layer.values) for layer in self._layers)[len(self.n_values) :]
        scores = [*scores, *(np.zeros(values) for _, values in hidden)]
        # Forwards: the score of the best path into each state of each layer.
        totals = [np.zeros(1)]
        for layer in self._layers:
            sums = _scored(layer, layer.edges, totals[-1], scores)
            totals.append(np.maximum.reduceat(sums, layer.ends[:-1]))
        # Backwards: from the best last state, always the edge that the best path came by.
        row = np.empty(len(self._layers), np.int64)
        state = int(totals.pop().argmax())
        for layer in reversed(self._layers):
            edges = layer.edges[layer.ends[state] : layer.ends[state + 1]]
            edge = edges[_scored(layer, edges, totals.pop(), scores).argmax()]
            state, row[layer.choice] = divmod(int(edge), layer.values)
        return row[: len(self.n_values)]

    def _build(self, plan: Sequence[Elimination], gains: Sequence[Ints], limits: Ints) -> None:
        """Layer by layer: extend every state by every value, prune, settle, merge."""
        least, most = rest(plan, gains)
        # One state to begin with: nothing is decided, nothing is spent, and one path leads here. Without limits paths
        # are Python's own numbers and the count is exact at any size; with limits they are floats, which are faster.
        codes, sums = np.zeros(1, np.int64), np.zeros((1, len(limits)), np.int64)
        paths = np.ones(1, np.float64 if len(limits) else object)
        halvings, merger = 0, _Merger(self.max_states)
        for step, gain, low, high in zip(plan, gains, least[1:], most[1:], strict=True):
            # Extend: every state by every value, (states, values, limits).
            after = step.follow[codes]
            total = sums[:, None, :] + gain[codes]
            # Prune: a value that the rules forbid, and a sum too great even with the least that is still to come.
            alive = step.open[codes] & (total + low[after] <= limits).all(-1)
            edges = np.flatnonzero(alive)
            if not len(edges):
                self.exact = merger.exact
                return
            codes, total = after.ravel()[edges], total.reshape(alive.size, -1)[edges]
            # Settle: up to `settled`, a sum stays within the limit whatever comes. All of these become the greatest of
            # them, and differ no longer.
            settled = limits - high[codes]
            above = np.maximum(total - settled, 0)
            total = settled + above
            # Merge: extended states of one code and one sum, or of nearly one sum, become one state. It is as bad as
            # its worst member, so that no path through it exceeds a limit; and all their paths lead into it.
            order, starts = merger.merge(codes, above)
            edges = edges[order]
            weights = _relative(paths)
            self._layers.append(_Layer(step.choice, step.values, edges, np.append(starts, len(edges)), weights))
            codes, sums = codes[order][starts], np.maximum.reduceat(total[order], starts)
            paths = np.add.reduceat(paths[edges // step.values], starts)
            # Counts beyond the largest float: only their ratios matter from here on, and the shift is remembered.
            if len(limits) and paths.max() > _HUGE:
                paths, halvings = paths / _HUGE, halvings + 512
        self.exact, self._last = merger.exact, _relative(paths)
        self.count = int(paths.sum()) << halvings

    def _refuse_empty(self) -> None:
        if not self.count:
            raise LimitError("no architecture lies within the bounds")


@final
class _Merger:
    """Finds the states among extended ones; remembers how fine the bins were, since the next layer is much like the
    last.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.exact = True
        self.bins = math.inf
        """Into how many bins the range of each sum is divided."""

    def merge(self, codes: Ints, above: Ints) -> tuple[Ints, Ints]:
        """An order of the extended states in which those of one new state are adjacent, and where each new state
        starts.

        `above` says how far each sum is above settled: (n, columns).
        """
        columns = above.shape[1]
        # With one sum, half as many bins are half as many states; with two, the bins are cells of a plane, and to halve
        # them each side shrinks by the root. More sums are taken for two, and the loop below does the rest.
        power = 1 / min(2, max(1, columns))
        reach = above.max(0, initial=1)
        # As long as there are few extended states, only equal sums are merged. Else the last layer's bins are tried.
        bins = math.inf if len(codes) <= self.most else self.bins
        while True:
            # How many units of a sum make a bin; in bins of one unit all sums are equal.
            widths = np.maximum(1, np.ceil(reach / bins)).astype(np.int64)
            binned = bool((widths > 1).any())
            # Settled sums have a cell of their own: raised by one unit, they would lose every path to the very limit.
            key = _packed(codes, -(-above // widths))
            # Stable, so that the edges, and with them what a seed draws, do not depend on the sorting algorithm.
            order = np.argsort(key, kind="stable")
            starts = np.flatnonzero(np.diff(key[order], prepend=key[order[0]] - 1))
            if len(starts) <= self.most or bins <= 1 or not columns:
                break
            # Coarser, by as much as the states are too many, and by a fifth at least, so that it ends.
            bins = max(1.0, min(bins, float(reach.max())) * min(0.8, (self.most / len(starts)) ** power))
        # The next layer begins a little coarser, at 70 % of what is allowed: a second sort costs more than the bins.
        if len(codes) > self.most and math.isfinite(bins):
            self.bins = bins * (0.7 * self.most / len(starts)) ** power
        # Nothing is lost as long as every bin held one sum only, however wide it was.
        if binned and self.exact:
            members = above[order]
            spread = np.maximum.reduceat(members, starts) - np.minimum.reduceat(members, starts)
            self.exact = not spread.any()
        return order, starts


def _one_sided(
    plan: Sequence[Elimination], costs: Sequence[Additive], bounds: Sequence[tuple[float, float]]
) -> tuple[list[Ints], Ints]:
    """Bounds as C upper limits on sums of non-negative whole numbers without a common divisor: gains A x V x C of
    each step, limits C.

    A bound that cannot be exceeded makes no column. "between 3 and 5" makes two: sum <= 5, and -sum <= -3.
    """
    least, most = rest(plan, [step.gain for step in plan])
    columns: list[list[Ints]] = []
    limits: list[int] = []
    for k, (cost, (low, high)) in enumerate(zip(costs, bounds, strict=True)):
        for sign, bound, worst in ((1, high, int(most[0][0, k])), (-1, low, -int(least[0][0, k]))):
            # Even the costliest architecture (for a lower bound: the cheapest) keeps to it.
            if sign * bound >= worst + sign * cost.constant:
                continue
            # The least gain of each step is paid whatever is chosen. Taken off here and from the limit, it leaves gains
            # from 0 on, negated ones too: sums then never fall, and what is above the limit stays there.
            gains = [sign * step.gain[:, :, k] for step in plan]
            offsets = [
                int(gain[step.open].min()) if step.open.any() else 0 for step, gain in zip(plan, gains, strict=True)
            ]
            gains = [
                np.where(step.open, gain - offset, 0) for step, gain, offset in zip(plan, gains, offsets, strict=True)
            ]
            # In units of the greatest common divisor: heads and hidden units come in multiples of many thousand MACs.
            divisor = int(np.gcd.reduce([np.gcd.reduce(gain, axis=None) for gain in gains])) or 1
            # What the limit leaves for the gains, as an exact fraction: rounding a float bound could lose or admit the
            # architectures right on it. An infinite bound is one that nothing keeps to, since the others were skipped.
            room = sign * (Fraction(bound) - cost.constant) - sum(offsets) if math.isfinite(bound) else Fraction(-1)
            columns.append([gain // divisor for gain in gains])
            limits.append(max(-1, math.floor(room / divisor)))
    stacked = [np.stack([c[t] for c in columns], -1) if columns else step.gain[:, :, :0] for t, step in enumerate(plan)]
    return stacked, np.array(limits, np.int64)


def _packed(codes: Ints, cells: Ints) -> Ints:
    """One number for each combination of a code and cells, non-negative."""
    # A number in a mixed base: the code, then each cell in its own base. `span` is how many numbers there can be.
    key, span = codes, int(codes.max()) + 1
    for cell in cells.T:
        # It would no longer fit into 64 bits: number the ones that occur, which are no more than there are rows.
        if span * (int(cell.max()) + 1) >= 2**62:
            key, cell = (np.unique(part, return_inverse=True)[1] for part in (key, cell))
            span = int(key.max()) + 1
        key, span = key * (cell.max() + 1) + cell, span * (int(cell.max()) + 1)
    return np.array(key)


def _relative(paths: NDArray[np.generic]) -> Floats:
    """Counts over the greatest of them, as floats."""
    return np.asarray(paths / paths.max(), np.float64)


def _drawn(layer: _Layer, states: Ints, rng: np.random.Generator) -> Ints:
    """For each of some states after a layer one of the edges into it, in proportion to the paths that the edge
    brings.
    """
    # Many draws are in the same few states: their edges are laid side by side once, "segment" after segment.
    distinct, which = np.unique(states, return_inverse=True)
    lengths = layer.ends[distinct + 1] - layer.ends[distinct]
    stops = np.cumsum(lengths)
    starts = stops - lengths
    edges = layer.edges[np.arange(stops[-1]) + np.repeat(layer.ends[distinct] - starts, lengths)]
    weights = layer.weights[edges // layer.values]
    # Each state's share is scaled to one before summing up, or the edges of rare states would drown in the sum of the
    # frequent ones.
    sums = np.cumsum(weights / np.repeat(np.add.reduceat(weights, starts), lengths))
    # One binary search serves all draws: a draw picks a random point of its state's segment of the running sum, and
    # the edge whose share covers the point. The clip catches points that rounding put just outside the segment.
    above = np.concatenate(([0.0], sums))
    target = above[starts[which]] + rng.random(len(states)) * (above[stops] - above[starts])[which]
    return np.asarray(edges[np.clip(np.searchsorted(sums, target, side="right"), starts[which], stops[which] - 1)])


def _scored(layer: _Layer, edges: Ints, totals: Floats, scores: Sequence[Floats]) -> Floats:
    """Score of the best path that ends with each edge."""
    before, values = np.divmod(edges, layer.values)
    return np.asarray(totals[before] + np.asarray(scores[layer.choice])[values])
