"""The oracle of derived axes: a model whose units are in another order, wherever an axis runs, computes the same.

If an axis misses a parameter, or takes one that is not its own, or the order of its units means something, outputs
change. Every axis is tried with an order of its own; of few units two axes may have the same one by chance, so that
nobody notices where an axis was taken for two: `furthest` moves such axes one without the other, too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.axes import Dim
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.precision import InDouble

CLOSE = 1e-9
"""Greatest difference of outputs in double precision, relative to the greatest: that of another order of sums."""

MANY = 8
"""Units of which two random orders are hardly ever the same."""


def positions(dim: Dim, derivation: Derivation, orders: Mapping[str, Tensor]) -> Tensor:
    """Where the units of a dimension come from, when axes have these orders."""
    result = torch.zeros(1, dtype=torch.long)
    for atom in dim:
        if atom in derivation.joined:
            parts = derivation.joined[atom]
            sizes = [_units(part, derivation) for part in parts]
            starts = [sum(sizes[:number]) for number in range(len(sizes))]
            order = torch.cat(
                [start + positions(part, derivation, orders) for start, part in zip(starts, parts, strict=True)]
            )
        elif atom in orders:
            order = orders[atom]
        else:
            order = torch.arange(int(atom) if atom.isdecimal() else derivation.axes[atom])
        # The last axis varies fastest.
        result = (result[:, None] * len(order) + order).flatten()
    return result


def permuted(state: Mapping[str, Tensor], derivation: Derivation, orders: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters and buffers with the units of some axes in other orders."""
    result = dict(state)
    for name, dims in derivation.parameters.items():
        for place, dim in enumerate(dims):
            if name in result and any(atom in orders for atom in derivation.atoms(dim)):
                result[name] = result[name].index_select(place, positions(dim, derivation, orders))
    return result


@torch.no_grad()
def difference(model: nn.Module, images: Tensor, derivation: Derivation, axes: Iterable[str]) -> float:
    """How far outputs are off when the units of some axes are in random orders, relative to the greatest output.

    `model` is in double precision and evaluation mode; its values should be random, since equal ones hide mistakes.
    """
    generator = torch.Generator().manual_seed(0)
    orders = {axis: _cycle(derivation.axes[axis], generator) for axis in axes}
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    # In copies, since some models keep what they have computed from their parameters.
    moved = permuted(state, derivation, orders)
    with InDouble():
        before = logits(copy.deepcopy(model)(images))
        after = logits(torch.func.functional_call(copy.deepcopy(model), moved, (images,)))
    return float((after - before).abs().max() / before.abs().max())


def furthest(model: nn.Module, images: Tensor, derivation: Derivation, axes: Sequence[str]) -> float:
    """The greatest `difference`: over all of some axes at once, and over those of few units in groups, so that of any
    two one has moved without the other.
    """
    few = [axis for axis in axes if derivation.axes[axis] < MANY]
    bits = max(len(few) - 1, 0).bit_length()
    groups = [[axis for number, axis in enumerate(few) if number >> bit & 1] for bit in range(bits)]
    return max(difference(model, images, derivation, group) for group in [axes, *groups])


def _cycle(units: int, generator: torch.Generator) -> Tensor:
    """A random order in which every unit moves."""
    path = torch.randperm(units, generator=generator)
    order = torch.empty(units, dtype=torch.long)
    order[path] = path.roll(1)
    return order


def _units(dim: Dim, derivation: Derivation) -> int:
    return len(positions(dim, derivation, {}))


def logits(outputs: object) -> Tensor:
    """The first tensor of what a model gives."""
    while not isinstance(outputs, Tensor):
        outputs = next(iter(outputs.values() if isinstance(outputs, Mapping) else outputs))  # type: ignore[call-overload]
    return outputs
