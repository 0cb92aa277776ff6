"""Which units stay of the axes that cannot be permuted in the weights: tokens, and the inputs of single layers.

Tokens have positions in the image, and the inputs of one layer are the residual stream that all layers share. So the
order in which their units stay is remembered beside the weights. By default it is the order of the axis itself, and for
tokens the family's (centre first).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from nas.axes import AxisTable
from nas.errors import CheckpointError
from nas.searchspaces.axis_names import DEPTH, FFN_TOKENS, QUERIES, TOKENS, axis_name, is_position
from nas.supernets.families._base import Family


@final
class Selection:
    """Orders of the axes that are selected from, most important unit first."""

    def __init__(self, table: AxisTable, family: Family, model: nn.Module) -> None:
        self._frame = table.frame
        self._orders: dict[str, list[int]] = {}
        self.changes = 0
        """How often an order was changed."""
        self._default = family.token_order(model) if any(map(is_position, table.frame.axes)) else []

    def selects(self, axis: str) -> bool:
        """Whether units of `axis` are selected by position, instead of cut off at the end."""
        return is_position(axis) or axis in self._frame.within

    def update(self, orders: Mapping[str, Tensor]) -> None:
        """Remember the orders of some axes."""
        self.changes += 1
        self._orders |= {axis: order.tolist() for axis, order in orders.items()}

    def forget(self, axis: str) -> None:
        """Remember no order of an axis."""
        self.changes += 1
        self._orders.pop(axis, None)

    def follow(self, moved: Mapping[str, Tensor]) -> None:
        """Keep remembered orders valid when the axes that they select from are permuted."""
        self.changes += 1
        for axis, order in self._orders.items():
            new_order = moved.get(self._frame.root(axis))
            if new_order is not None:
                # `new_order[j]` is the old unit that stands at j now; its inverse says where an old unit stands.
                stands = torch.argsort(new_order).tolist()
                self._orders[axis] = [stands[unit] for unit in order]

    def kept(self, sizes: Mapping[str, int], device: torch.device | None = None) -> dict[str, Tensor]:
        """Kept units, ascending, of every selected axis that `sizes` shrinks and that is not simply cut at the end."""
        kept = self._positions(sizes)
        for axis, order in self._orders.items():
            if not is_position(axis) and axis in sizes and sizes[axis] < self._frame.axes[axis]:
                kept[axis] = sorted(order[: sizes[axis]])
        return {axis: torch.tensor(units, device=device) for axis, units in kept.items()}

    def _positions(self, sizes: Mapping[str, int]) -> dict[str, list[int]]:
        """Tokens of every block that sees, or computes, fewer than all.

        They nest: a block keeps its best ones among those that the block before it kept, first those that it computed.
        """
        kept: dict[str, list[int]] = {}
        # Before the first block every token is there and computed; skipped blocks let all of them pass.
        present, computed = (set(self._default) for _ in range(2))
        for index in (index for index in self._frame.blocks if sizes.get(axis_name(DEPTH, index), 1)):
            tokens, queries = axis_name(TOKENS, index), axis_name(QUERIES, index)
            if tokens in self._frame.axes:
                # It sees some of those that were there, first those that the block before it computed and that are
                # therefore up to date; of what it sees, it computes some, by the same rule.
                present = self._best(tokens, sizes, present, computed, kept)
                computed = self._best(queries, sizes, present, computed, kept)
                fed = axis_name(FFN_TOKENS, index)
                if fed in sizes:
                    # What one block feeds need not be fed by the next: each takes its own best ones.
                    self._best(fed, sizes, computed, set(), kept)
        return kept

    def _best(
        self, axis: str, sizes: Mapping[str, int], among: set[int], first: set[int], kept: dict[str, list[int]]
    ) -> set[int]:
        """The best of the positions `among` as far as the axis shrinks, those in `first` before the others."""
        full = self._frame.axes[axis]
        size = sizes.get(axis, full)
        if size < len(among):
            order = [unit for unit in self._orders.get(axis, self._default) if unit in among]
            # A stable sort: those in `first` before the others, each group by importance.
            among = set(sorted(order, key=lambda unit: unit not in first)[:size])
        # Also where the axis itself does not shrink: what is gone before stays gone.
        if len(among) < full:
            kept[axis] = sorted(among)
        return among

    def state(self) -> dict[str, list[int]]:
        """Remembered orders, for JSON."""
        return dict(self._orders)

    def load(self, state: Mapping[str, list[int]]) -> None:
        """Take over remembered orders. Raises CheckpointError when they do not belong to this model."""
        for axis, order in state.items():
            if sorted(order) != list(range(self._frame.axes.get(axis, 0))) or not self.selects(axis):
                raise CheckpointError(f"the remembered order of '{axis}' is no order of this model's units")
        self._orders = {axis: list(order) for axis, order in state.items()}
        self.changes += 1
