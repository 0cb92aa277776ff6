"""Where two sub-networks begin alike: for each step of a forward, a key of all that decides what it computes.

A step computes with slices, and what is sliced is decided by sizes of axes: those that the axis table names for its
parameters, and those that they lie within. Tokens that stay also depend on the tokens that stayed before, which the
keys of the steps before it hold.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import final

from nas.axes import AxisTable, Entry
from nas.supernets.families._base import Piece, SizeOf


@final
class Keys:
    """Keys of steps, for one table."""

    def __init__(self, table: AxisTable) -> None:
        self._table = table
        self._axes: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of(self, steps: Sequence[Piece], size: SizeOf) -> list[Hashable]:
        """One key per step; `size` is that of an axis in the sub-network."""
        return [(step.reads, tuple(map(size, self.deciding(step.reads)))) for step in steps]

    def deciding(self, reads: tuple[str, ...]) -> tuple[str, ...]:
        """Axes whose sizes decide about the parameters below the paths `reads`."""
        if reads not in self._axes:
            deciding: dict[str, None] = {}  # a set that keeps the table's order
            for name, axes in self._named.items():
                # With a dot behind both, "blocks.1" holds "blocks.1.norm1.weight" and not "blocks.10.norm1.weight".
                if any(not path or f"{name}.".startswith(f"{path}.") for path in reads):
                    deciding |= dict.fromkeys(axes)
            self._axes[reads] = tuple(deciding)
        return self._axes[reads]

    @cached_property
    def _named(self) -> dict[str, tuple[str, ...]]:
        return {name: self._axes_of(entry) for name, entry in self._table.entries.items()}

    def _axes_of(self, entry: Entry) -> tuple[str, ...]:
        """Every axis that decides about one parameter, those included that its own axes lie within, and so on."""
        within, axes = self._table.frame.within, self._table.frame.axes
        # Not only its dimensions: the tokens it is applied to are gathered, its matrix is factored, rounded, its query
        # scaled.
        todo = [*entry.axes, entry.at, entry.rank, entry.bits, entry.query, entry.queries]
        named: dict[str, None] = {}
        while todo:
            axis = todo.pop()
            if axis in axes and axis not in named:
                named[axis] = None
                todo += within.get(axis, "").split()
        return tuple(named)
