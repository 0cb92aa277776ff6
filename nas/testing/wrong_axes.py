"""Derivations that are wrong on purpose: what proves axes must notice each of them, or it proves nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from nas.axes import Dim
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.permutation import CLOSE, MANY, furthest
from nas.supernets.derived.ties import untied


@final
@dataclass(frozen=True)
class WrongAxes:
    """A derivation that is wrong in what it says of some axes, in one parameter or buffer, or in all (""); `what` was
    done to it, for a reader.
    """

    kind: str
    what: str
    derivation: Derivation
    axes: tuple[str, ...]
    parameter: str = ""


def wrong_axes(right: Derivation) -> Iterator[WrongAxes]:
    """All of them."""
    yield from left_out(right)
    yield from exchanged(right)
    yield from merged(right)
    yield from divided(right)
    yield from together(right)


def noticed(wrong: WrongAxes, model: nn.Module, images: Tensor) -> bool:
    """Whether one of the proofs that need no supernet finds it: another order of units, or parts that nothing ties.
    `model` is in double precision and evaluation mode, with random values.
    """
    given = model, images, wrong.derivation, wrong.axes
    return furthest(*given) > CLOSE or bool(untied(*given))


def left_out(right: Derivation) -> Iterator[WrongAxes]:
    """Of each axis each parameter and buffer that it runs through, taken out of its group."""
    for axis in right.axes:
        for parameter in right.through(axis):
            dims = tuple(_without(dim, axis, right) for dim in right.parameters[parameter])
            yield WrongAxes("left out", f"{axis} not in {parameter}", _with(right, parameter, dims), (axis,), parameter)


def exchanged(right: Derivation) -> Iterator[WrongAxes]:
    """One parameter's axis taken for another one of the same size, of those with so many units that two random orders
    differ.
    """
    for axis, other in combinations(right.axes, 2):
        if right.axes[axis] == right.axes[other] >= MANY:
            for parameter in right.through(axis):
                own = right.parameters[parameter]
                dims = _renamed(own, axis, other)
                if dims != own:
                    what = f"{other} for {axis} in {parameter}"
                    yield WrongAxes("exchanged", what, _with(right, parameter, dims), (axis, other), parameter)


def merged(right: Derivation) -> Iterator[WrongAxes]:
    """Two axes that stand behind each other, such as heads and their dimension, taken for one axis of as many units."""
    pairs = {pair for dims in right.parameters.values() for dim in dims for pair in pairwise(dim)}
    for pair in sorted(pairs):
        if all(axis in right.axes for axis in pair):
            one = "_".join(pair)
            wrong = replace(
                right,
                axes={**right.axes, one: prod(right.axes[axis] for axis in pair)},
                parameters={name: _all_merged(dims, pair, one) for name, dims in right.parameters.items()},
                joined={name: _all_merged(dims, pair, one) for name, dims in right.joined.items()},
            )
            yield WrongAxes("merged", one, wrong, (one,))


def divided(right: Derivation) -> Iterator[WrongAxes]:
    """Each axis taken for two, of which the second runs through the latter half of its parameters."""
    for axis in right.axes:
        other = f"{axis}_2"
        # Those that hold it in a concatenation share that with others.
        own = [name for name, dims in right.parameters.items() if _renamed(dims, axis, other) != dims]
        latter = own[len(own) // 2 :]
        if 0 < len(latter) < len(own):
            parameters = {
                name: _renamed(dims, axis, other) if name in latter else dims for name, dims in right.parameters.items()
            }
            wrong = replace(right, axes={**right.axes, other: right.axes[axis]}, parameters=parameters)
            yield WrongAxes("divided", f"{axis} from {latter[0]} on", wrong, (axis, other), latter[0])


def together(right: Derivation) -> Iterator[WrongAxes]:
    """Two axes of as many units that have nothing to do with each other, taken for one wherever they run."""
    for axis, other in combinations(right.axes, 2):
        if right.axes[axis] == right.axes[other]:
            wrong = replace(
                right,
                parameters={name: _renamed(dims, other, axis) for name, dims in right.parameters.items()},
                joined={name: _renamed(dims, other, axis) for name, dims in right.joined.items()},
            )
            yield WrongAxes("together", f"{axis} and {other}", wrong, (axis,))


def idle(model: nn.Module, images: Tensor) -> set[str]:
    """Names of parameters and buffers of which no order matters: outputs do not follow from them, as from biases of
    keys, over which a softmax runs; or all their values are alike.
    """
    tensors = {name: tensor.detach().requires_grad_() for name, tensor in model.named_parameters()}
    # In a copy, since some models keep what they have computed from their parameters.
    outputs: Tensor = torch.func.functional_call(copy.deepcopy(model), tensors, (images,))
    weights = torch.randn(outputs.shape, dtype=outputs.dtype, generator=torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad((outputs * weights).sum(), list(tensors.values()), allow_unused=True)
    slopes = {name: 0.0 if g is None else float(g.abs().max()) for name, g in zip(tensors, gradients, strict=True)}
    alike = {
        name for name, buffer in model.named_buffers() if buffer.numel() and bool((buffer == buffer.ravel()[0]).all())
    }
    return alike | {name for name, slope in slopes.items() if slope < CLOSE * max(slopes.values())}


def _renamed(dims: tuple[Dim, ...], axis: str, other: str) -> tuple[Dim, ...]:
    return tuple(tuple(other if atom == axis else atom for atom in dim) for dim in dims)


def _with(right: Derivation, parameter: str, dims: tuple[Dim, ...]) -> Derivation:
    return replace(right, parameters={**right.parameters, parameter: dims})


def _without(dim: Dim, axis: str, right: Derivation) -> Dim:
    """A dimension whose units stay where they are along one axis; along all of a concatenation that holds it."""
    return tuple(str(_units(atom, right)) if axis in right.atoms((atom,)) else atom for atom in dim)


def _units(atom: str, right: Derivation) -> int:
    if atom in right.joined:
        return sum(prod(_units(inner, right) for inner in part) for part in right.joined[atom])
    return int(atom) if atom.isdecimal() else right.axes[atom]


def _all_merged(dims: tuple[Dim, ...], pair: tuple[str, str], one: str) -> tuple[Dim, ...]:
    """Dimensions with one axis where two stood behind each other."""

    def dim_of(dim: Dim) -> Dim:
        place = next((place for place, two in enumerate(pairwise(dim)) if two == pair), None)
        return dim if place is None else (*dim[:place], one, *dim[place + 2 :])

    return tuple(map(dim_of, dims))
