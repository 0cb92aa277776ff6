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

from nas.errors import CheckpointError
from nas.supernets.axes import AxisTable
from nas.supernets.families.base import Family


@final
class Selection:
    """Orders of the axes that are selected from, most important unit first."""

    def __init__(self, table: AxisTable, family: Family, model: nn.Module) -> None:
        self._frame = table.frame
        self._orders: dict[str, list[int]] = {}
        self._default = family.token_order(model) if any(map(_is_tokens, table.frame.axes)) else []

    def selects(self, axis: str) -> bool:
        """Whether units of `axis` are selected by position, instead of cut off at the end."""
        return _is_tokens(axis) or axis in self._frame.within

    def update(self, orders: Mapping[str, Tensor]) -> None:
        """Remember the orders of some axes."""
        self._orders |= {axis: order.tolist() for axis, order in orders.items()}

    def follow(self, moved: Mapping[str, Tensor]) -> None:
        """Keep remembered orders valid when the axes that they select from are permuted."""
        for axis, order in self._orders.items():
            new_order = moved.get(self._frame.root(axis))
            if new_order is not None:
                place = torch.argsort(new_order).tolist()
                self._orders[axis] = [place[unit] for unit in order]

    def kept(self, sizes: Mapping[str, int], device: torch.device | None = None) -> dict[str, Tensor]:
        """Kept units, ascending, of every selected axis that `sizes` shrinks and that is not simply cut at the end.

        Tokens nest: a block keeps its best ones among those that the block before it kept.
        """
        frame = self._frame
        kept: dict[str, Tensor] = {}
        present: list[int] | None = None
        for index in frame.blocks:
            axis = f"tokens.{index}"
            if sizes.get(axis, frame.axes.get(axis, 0)) < frame.axes.get(axis, 0) and sizes.get(f"depth.{index}", 1):
                order = self._orders.get(axis, self._default)
                candidates = order if present is None else [unit for unit in order if unit in set(present)]
                present = sorted(candidates[: sizes[axis]])
                kept[axis] = torch.tensor(present, device=device)
        for axis, order in self._orders.items():
            if not _is_tokens(axis) and axis in sizes and sizes[axis] < frame.axes[axis]:
                kept[axis] = torch.tensor(sorted(order[: sizes[axis]]), device=device)
        return kept

    def state(self) -> dict[str, list[int]]:
        """Remembered orders, for JSON."""
        return dict(self._orders)

    def load(self, state: Mapping[str, list[int]]) -> None:
        """Take over remembered orders. Raises CheckpointError when they do not belong to this model."""
        for axis, order in state.items():
            if sorted(order) != list(range(self._frame.axes.get(axis, 0))) or not self.selects(axis):
                raise CheckpointError(f"the remembered order of '{axis}' is no order of this model's units")
        self._orders = {axis: list(order) for axis, order in state.items()}


def _is_tokens(axis: str) -> bool:
    return axis.startswith("tokens.")
