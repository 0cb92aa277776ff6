"""Which rows of a table are architectures: choices of skipped blocks, and ranks at which nothing is factored, take
their last value, and chains never grow.

Two architectures that differ only inside a block that depth switched off are the same network. Of these the one whose
choices there have their last (largest) value is canonical; it alone counts, is drawn and is evaluated. For ranks, see
`ranks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.searchspaces.choices._base import Choice
from nas.searchspaces.counting.factors import AnyOf, Factor, Rule, Table
from nas.searchspaces.counting.ranks import rank_rules
from nas.searchspaces.outline import Outline

Bools = NDArray[np.bool_]


@final
@dataclass(frozen=True)
class Rules:
    """The rules of a space, as boolean factors for the lattice and as repairs of whole tables."""

    lengths: tuple[int, ...]
    """Number of values of each choice."""
    switches: tuple[tuple[tuple[int, Bools], ...], ...]
    """Per choice: the depth choices that can switch it off, and for each of their values whether it leaves it on.
    Empty: always on.
    """
    chains: tuple[tuple[int, ...], ...]
    """Choices whose sizes never grow from one to the next."""
    ends: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
    """Per choice and value: the size of its first axis and of its last."""
    ranks: Mapping[int, AnyOf]
    """Of choices that set ranks: what is false where a value means the same network as the next one."""

    @classmethod
    def of(cls, choices: Sequence[Choice], outline: Outline) -> Rules:
        """The rules that follow from the choices' kinds and from the blocks that their axes lie in."""
        chains: dict[str, list[int]] = {}
        for c, choice in enumerate(choices):
            if choice.chain:
                chains.setdefault(choice.chain, []).append(c)
        return cls(
            tuple(len(choice.values) for choice in choices),
            tuple(_switches(choice, choices, outline) for choice in choices),
            tuple(map(tuple, chains.values())),
            tuple(tuple(np.array([s[a] for s in c.sizes]) for a in (c.axes[0], c.axes[-1])) for c in choices),  # type: ignore[misc]
            rank_rules(choices, outline),
        )

    def active(self, choice: int, table: Table) -> Bools:
        """Which rows have a block that the choice acts on, shape (n,)."""
        if not self.switches[choice]:
            return np.ones(len(table), bool)
        return np.asarray(np.logical_or.reduce([on[table[:, depth]] for depth, on in self.switches[choice]]))

    def all(self) -> tuple[Rule, ...]:
        """The rules one by one: a row is an architecture if and only if all of them are true."""
        # An inactive choice has its last value: a factor over the choice and the depths that may switch it off.
        factors = [
            self._factor([*(depth for depth, _ in switches), c], partial(self._settled, c))
            for c, switches in enumerate(self.switches)
            if switches
        ]
        # A chain never grows from one active link to the next active one. Where depth may skip links, which one is next
        # is open: each link is compared with all that may follow it, as far as the first that is always on.
        for chain in self.chains:
            for i, first in enumerate(chain):
                between: list[int] = []
                for second in chain[i + 1 :]:
                    depths = [depth for c in (first, *between, second) for depth, _ in self.switches[c]]
                    falls = partial(self._falls, first, second, tuple(between))
                    factors.append(self._factor([*depths, first, second], falls))
                    if not self.switches[second]:
                        break
                    between.append(second)
        # A rule that is always true binds choices together for nothing.
        kept = (factor for factor in factors if not factor.table.all())
        return (*kept, *(rule for rule in self.ranks.values() if not rule.always))

    def canonical(self, table: Table) -> Table:
        """A copy in which every row is an architecture: inactive choices at their last value, chains lowered to where
        they may not grow, ranks as `spelled`.
        """
        table = table.copy()
        # Inactive first, since a chain asks which of its links are active.
        for c in range(len(self.lengths)):
            table[~self.active(c, table), c] = self.lengths[c] - 1
        for chain in self.chains:
            # Along the chain, no active link may be larger than `ceiling`, the end of the last active one before it.
            ceiling = np.full(len(table), np.iinfo(np.int64).max)
            for c in chain:
                on = self.active(c, table)
                first, last = self.ends[c]
                highest = np.searchsorted(first, ceiling, side="right") - 1
                table[:, c] = np.where(on, np.minimum(table[:, c], highest), table[:, c])
                ceiling = np.where(on, last[table[:, c]], ceiling)
        return self.spelled(table)

    def spelled(self, table: Table) -> Table:
        """A copy in which ranks have the last of the values that mean the same network."""
        table = table.copy()
        for c, tells_apart in self.ranks.items():
            # The rule is true for the last value, so this ends.
            while len(same := np.flatnonzero(~tells_apart(table))):
                table[same, c] += 1
        return table

    def _settled(self, choice: int, table: Table) -> Bools:
        """Whether a choice has its last value where it is inactive."""
        return np.asarray(self.active(choice, table) | (table[:, choice] == self.lengths[choice] - 1))

    def _falls(self, first: int, second: int, between: Sequence[int], table: Table) -> Bools:
        """Whether two choices that follow each other, with only inactive ones between them, do not grow."""
        meet = self.active(first, table) & self.active(second, table)
        for c in between:
            meet &= ~self.active(c, table)
        return np.asarray(~meet | (self.ends[first][1][table[:, first]] >= self.ends[second][0][table[:, second]]))

    def _factor(self, scope: Sequence[int], allowed: Callable[[Table], Bools]) -> Factor:
        """A predicate on rows, tabulated over the choices that it looks at."""
        scope = tuple(dict.fromkeys(scope))
        lengths = [self.lengths[c] for c in scope]
        rows = np.zeros((int(np.prod(lengths)), len(self.lengths)), np.int64)
        rows[:, scope] = np.indices(lengths).reshape(len(scope), -1).T
        return Factor(scope, allowed(rows).reshape(lengths))


def _switches(choice: Choice, choices: Sequence[Choice], outline: Outline) -> tuple[tuple[int, Bools], ...]:
    """The choices that switch the blocks of a choice off; empty when one of its blocks always stays."""
    switches: dict[int, Bools] = {}
    for axis in choice.axes:
        block = outline.block(axis)
        depth = next((d for d, other in enumerate(choices) if block in other.axes), None)
        if depth is None:
            return ()
        on = np.array([sizes[str(block)] > 0 for sizes in choices[depth].sizes])
        # A choice that acts on several blocks is active as long as one of them is there.
        switches[depth] = switches.get(depth, np.zeros(len(on), bool)) | on
    return () if any(on.all() for on in switches.values()) else tuple(switches.items())
