"""Sums over the parameters of a unit, by the axis table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from nas.axes import Frame
from nas.axes.sizes import JOIN, packs_of, parts_of
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
            if not any(supernet.space.axes.intersection(_around(axis, frame.within)) for axis in parts_of(atom)):
                continue
            rest = [other for other in range(len(atoms)) if other != position]
            for own, part in _apart(atom, unpacked.sum(dim=rest) if rest else unpacked, frame):
                for axis in supernet.space.axes.intersection(_around(own, frame.within)):
                    sums[axis] = sums[axis] + part if axis in sums else part
    return sums


def _apart(atom: str, values: Tensor, frame: Frame) -> Iterator[tuple[str, Tensor]]:
    """Each axis that stands in one place of a dimension, and the sum of `values` (of that place) for its units."""
    if JOIN not in atom:
        yield atom, values
        return
    packs = packs_of(atom)
    sizes = [[frame.full(axis) for axis in pack] for pack in packs]
    for pack, lengths, piece in zip(packs, sizes, torch.split(values, list(map(math.prod, sizes))), strict=True):
        for place, axis in enumerate(pack):
            others = [other for other in range(len(pack)) if other != place]
            whole = piece.reshape(lengths)
            yield axis, whole.sum(dim=others) if others else whole


def _around(atom: str, within: Mapping[str, str]) -> list[str]:
    """The axis itself and those whose units it selects from."""
    axes = [atom]
    while axes[-1] in within:
        axes.append(within[axes[-1]])
    return axes
