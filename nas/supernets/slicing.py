"""What is done to one parameter when axes shrink, are gated or are permuted: all of it by the names in its entry.

A parameter is seen as an array with one dimension per axis, packed dimensions unpacked. Kept units are the first ones
of each axis, except where a selection lists them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nas.axes import Entry, Frame
from nas.axes.sizes import JOIN, packs_of, parts_of
from nas.quantities import factoring_pays

Where = Literal["consumed", "produced"]


@dataclass(frozen=True)
class Cut:
    """Which units stay: a size per axis, and for axes that are not simply cut off at the end, the kept units' indices.

    An axis without a size follows the axis it lies within, or stays whole.
    """

    frame: Frame
    sizes: Mapping[str, int]
    selections: Mapping[str, Tensor] = field(default_factory=dict)

    def size(self, atom: str) -> int:
        """Units of `atom` that stay."""
        return self.frame.size(atom, self.sizes)

    def listed(self, atom: str) -> Tensor | None:
        """The units of `atom` that stay, where they are listed: for itself, or for the axis that it follows."""
        if atom in self.sizes or atom in self.selections:
            return self.selections.get(atom)
        return self.selections.get(self.frame.within.get(atom, ""))

    def touches(self, entry: Entry) -> bool:
        """Whether the parameter of `entry` loses anything."""
        return any(self.size(atom) < self.frame.full(atom) for atom in entry.atoms)


def is_factored(entry: Entry, size: Callable[[str], int]) -> bool:
    """Whether a matrix is two factors where axes have these sizes: where they cost less than what is left of it."""
    sides = (math.prod(map(size, dim)) for dim in entry.dims)
    return bool(entry.rank) and factoring_pays(size(entry.rank), *sides)


def cut(tensor: Tensor, dims: tuple[tuple[str, ...], ...], keep: Cut) -> Tensor:
    """The slice of `tensor` (one packed dimension per item of `dims`) that stays, contiguous and differentiable."""
    atoms = [atom for dim in dims for atom in dim]
    sliced = unpack(tensor, dims, keep.frame)
    for position, atom in enumerate(atoms):
        sliced = _cut_at(sliced, position, atom, keep)
    return sliced.reshape([math.prod(keep.size(atom) for atom in dim) for dim in dims]).contiguous()


def _cut_at(tensor: Tensor, position: int, atom: str, keep: Cut) -> Tensor:
    """What stays of one dimension. Listed units are copied; first ones are a view, and the whole is left alone."""
    if (listed := keep.listed(atom)) is not None:
        return tensor.index_select(position, listed)
    if (kept := keep.size(atom)) == tensor.shape[position]:
        return tensor
    if JOIN not in atom:
        return tensor.narrow(position, 0, kept)
    packs = packs_of(atom)
    pieces = []
    lengths = [math.prod(map(keep.frame.full, pack)) for pack in packs]
    for pack, piece in zip(packs, torch.split(tensor, lengths, position), strict=True):
        shape = tensor.shape[:position], map(keep.frame.full, pack), tensor.shape[position + 1 :]
        whole = piece.reshape([units for part in shape for units in part])
        for place, axis in enumerate(pack):
            whole = _cut_at(whole, position + place, axis, keep)
        pieces.append(whole.flatten(position, position + len(pack) - 1))
    return torch.cat(pieces, position)


def scale_query(tensor: Tensor, entry: Entry, keep: Cut) -> Tensor:
    """Multiply the query part of a cut parameter by the root of kept over full head dimensions.

    A plain attention scales by its own head dimension's root; the supernet computes with the base model's scale.
    """
    if not entry.query or (ratio := keep.size(entry.query) / keep.frame.full(entry.query)) == 1:
        return tensor
    if entry.dims[0][0] != "3":
        return tensor * math.sqrt(ratio)
    # The joint projection: its outputs are queries, keys and values, in this order.
    query, key, value = tensor.chunk(3)
    return torch.cat([query * math.sqrt(ratio), key, value])


def unpack(tensor: Tensor, dims: tuple[tuple[str, ...], ...], frame: Frame) -> Tensor:
    """`tensor` with one dimension per axis."""
    if all(len(dim) == 1 for dim in dims):
        return tensor
    return tensor.reshape([frame.full(atom) for dim in dims for atom in dim])


def gate(tensor: Tensor, entry: Entry, frame: Frame, gates: Mapping[str, Tensor]) -> Tensor:
    """Multiply the units of the axes in `gates` (axis -> one value per unit) wherever `entry` names them, or names an
    axis within them; several packed axes, "heads.3 head_dim.3", where it names them one after the other.
    """
    unpacked = unpack(tensor, entry.dims, frame)
    for position, atom in enumerate(entry.atoms):
        # Units of an axis that selects from the gated one are its units, in the whole model all of them.
        for axis in (atom, frame.within.get(atom, "")):
            if any(part in gates for part in parts_of(axis)):
                shape = [-1 if p == position else 1 for p in range(unpacked.dim())]
                unpacked = unpacked * _gate_of(axis, frame, gates).reshape(shape)
    for packed in (axis for axis in gates if " " in axis):
        shape = _shape_of_packed(entry, frame, packed)
        unpacked = unpacked * gates[packed].reshape(shape) if shape else unpacked
    return unpacked.reshape(tensor.shape)


def _gate_of(atom: str, frame: Frame, gates: Mapping[str, Tensor]) -> Tensor:
    """A value for each unit: that of its axis, or the product of those that are packed there; 1 for axes without."""
    if atom in gates:
        return gates[atom]
    like = next(gates[axis] for axis in parts_of(atom) if axis in gates)
    values = []
    for pack in packs_of(atom):
        value = like.new_ones(())
        for axis in pack:
            own = gates[axis].flatten() if axis in gates else like.new_ones(frame.full(axis))
            value = value.unsqueeze(-1) * own
        values.append(value.flatten())
    return torch.cat(values)


def packed_at(atoms: Sequence[str], packed: str) -> int | None:
    """Where, among some axes, those of a packed name stand one after the other; None where they do not."""
    parts = packed.split()
    starts = range(len(atoms) - len(parts) + 1)
    return next((start for start in starts if list(atoms[start : start + len(parts)]) == parts), None)


def _shape_of_packed(entry: Entry, frame: Frame, packed: str) -> list[int]:
    """The shape, against the unpacked parameter, of one value for each unit of packed axes; empty where it has none."""
    start = packed_at(entry.atoms, packed)
    if start is None:
        return []
    parts = packed.split()
    sizes = [frame.full(part) for part in parts]
    return [*[1] * start, *sizes, *[1] * (len(entry.atoms) - start - len(parts))]


@torch.no_grad()
def permute_within(tensor: Tensor, entry: Entry, frame: Frame, packed: str, order: Tensor) -> None:
    """Reorder the units of the second of two packed axes in place, in each unit of the first by itself: `order[h]` are
    the units, "head_dim.3", of the h-th of the first, "heads.3".
    """
    shape = _shape_of_packed(entry, frame, packed)
    if not shape:
        return
    unpacked = unpack(tensor, entry.dims, frame)
    second = packed_at(entry.atoms, packed.split()[1])
    assert second is not None, f"{entry.parameter} names {packed}"
    index = order.reshape(shape).expand(unpacked.shape)
    tensor.copy_(unpacked.gather(second, index).reshape(tensor.shape))


def _order_of(atom: str, frame: Frame, orders: Mapping[str, Tensor]) -> Tensor | None:
    """The new order of what stands in one place of a dimension; None where it stays."""
    if JOIN not in atom:
        return orders.get(frame.root(atom))
    known = [orders[axis] for axis in parts_of(atom) if axis in orders]
    if not known:
        return None
    units, start = [], 0
    for pack in packs_of(atom):
        sizes = [frame.full(axis) for axis in pack]
        own = torch.arange(start, start + math.prod(sizes), device=known[0].device).reshape(sizes)
        for place, axis in enumerate(pack):
            own = own.index_select(place, orders[axis]) if axis in orders else own
        units.append(own.flatten())
        start += math.prod(sizes)
    return torch.cat(units)


@torch.no_grad()
def permute(tensor: Tensor, entry: Entry, frame: Frame, orders: Mapping[str, Tensor]) -> None:
    """Reorder the units of the axes in `orders` (axis -> new order of its units) in place, wherever they are named."""
    unpacked = unpack(tensor, entry.dims, frame)
    changed = False
    for position, atom in enumerate(entry.atoms):
        # Inputs of a layer move with the stream that they select from.
        order = _order_of(atom, frame, orders)
        if order is not None:
            unpacked, changed = unpacked.index_select(position, order), True
    if changed:
        tensor.copy_(unpacked.reshape(tensor.shape))
