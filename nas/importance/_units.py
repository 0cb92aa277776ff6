"""Sums over the parameters of a unit, by the axis table."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nas.supernets import Supernet


def per_unit(supernet: Supernet, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Axis that the space chooses -> sum, per unit, of `tensors` (parameter name -> tensor of its shape).

    Summed is every parameter that names the axis, or an axis that selects from it.
    """
    table, frame = supernet.table, supernet.table.frame
    sums: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        atoms = table.entries[name].atoms
        # One dimension per axis: for the heads of "(3 heads head_dim) embed" the other three are summed over.
        unpacked = tensor.reshape([frame.full(atom) for atom in atoms])
        for position, atom in enumerate(atoms):
            rest = [other for other in range(len(atoms)) if other != position]
            for axis in supernet.space.axes.intersection(_around(atom, frame.within)):
                part = unpacked.sum(dim=rest) if rest else unpacked
                sums[axis] = sums[axis] + part if axis in sums else part
    return sums


def _around(atom: str, within: Mapping[str, str]) -> list[str]:
    """The axis itself and those whose units it selects from."""
    axes = [atom]
    while axes[-1] in within:
        axes.append(within[axes[-1]])
    return axes
