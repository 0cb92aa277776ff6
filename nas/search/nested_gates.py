"""Mixtures of nested sub-networks as gates: one pass in place of one for each value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from nas.axes import AxisTable
from nas.errors import StrategyError
from nas.searchspaces.axis_names import dimension
from nas.searchspaces.space import SearchSpace
from nas.supernets import Supernet
from nas.supernets.gates import gate_refusal


@final
class NestedGates:
    """Axis -> gate per unit, from one weight per value of each choice.

    A unit's gate is the sum of the weights of those values that keep it. Sub-networks share their first units, so one
    pass with these gates equals the weighted sum of the outputs over all values of a choice (eq. 3.5 of Goel 2023),
    layer by layer: a choice of depth mixes what attention and MLP add, each by itself, so the MLP reads a mixture.
    """

    def __init__(self, supernet: Supernet) -> None:
        """Raises `StrategyError` when the space has a choice whose values cannot be mixed."""
        refuse_inexact(supernet.space, supernet.table)
        device = next(supernet.parameters()).device
        self._masks = {
            name: {
                axis: self._kept(supernet, axis, [size[axis] for size in choice.sizes], device) for axis in choice.axes
            }
            for name, choice in supernet.space.items()
        }

    def __call__(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`weights` maps each choice to its values' weights (values), which sum to 1; differentiable towards them."""
        # The masks may have come from another process, on the CPU.
        return {
            axis: weights[name] @ mask.to(weights[name])
            for name, masks in self._masks.items()
            for axis, mask in masks.items()
        }

    @staticmethod
    def _kept(supernet: Supernet, axis: str, sizes: list[int], device: torch.device) -> Tensor:
        """1 where a size keeps a unit, float (sizes, units)."""
        mask = torch.zeros(len(sizes), supernet.table.frame.axes[axis], device=device)
        for row, size in zip(mask, sizes, strict=True):
            # A size keeps the first units, but for axes whose order was decided (inputs of layers): there, those that
            # come first in that order.
            listed = supernet.selection.kept({axis: size}, device).get(axis)
            row[slice(size) if listed is None else listed] = 1
        return mask


def refuse_inexact(space: SearchSpace, table: AxisTable) -> None:
    """Raise `StrategyError` for a space with choices that have no exact mixture on the model of `table`.

    A gate mixes outputs where linear layers alone read the units.
    """
    for name, choice in space.items():
        bad = sorted({dimension(axis) for axis in choice.axes if gate_refusal(axis, table, "consumed")})
        if bad:
            raise StrategyError(
                f"'{name}' chooses {', '.join(bad)}, whose values cannot be mixed in one pass; mixed can be heads, "
                "mlp, depth, bits and inputs of layers: take it out of the space, or use evolution or nsga2"
            )
