"""The oracle of axes that are taken for one although they have nothing to do with each other.

Another order cannot tell them: two layers whose units both move in the same way compute the same. Here units are
exchanged in pairs. What is stored at a place (one dimension of one parameter) is the sum of a part that this leaves as
it is and of a part whose sign it changes. Outputs are the same if that sign changes at all places of an axis; so where
the signed parts of all its places are zero, the derivatives by them are zero, whatever the other axes do. Once the
signed part of one place is there, those by the places that it meets are not. What is not reached from the first place,
from one to the next, is another axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.permutation import CLOSE, logits, positions
from nas.supernets.derived.precision import InDouble
from nas.supernets.derived.program import sharing

STATISTICS = ("running_mean", "running_var")
"""Buffers of batch norms, by which torch has no derivatives: they are taken as the exchange leaves them."""


@final
@dataclass(frozen=True)
class Place:
    """A dimension of a parameter or buffer that an axis runs through."""

    parameter: str
    number: int
    axis: str


def untied(model: nn.Module, images: Tensor, derivation: Derivation, axes: Iterable[str]) -> dict[str, list[str]]:
    """Of some axes those that are not one, and their parameters and buffers that the first ones do not reach. Those
    from which outputs do not follow, such as the biases of keys, are passed over.

    `model` is in double precision and evaluation mode, with random values.
    """
    shares = _Shares(model, derivation, axes)
    slopes = shares.slopes(images, set(shares.signed))
    steepest = max(slopes.values(), default=0.0)
    places = [place for place, slope in slopes.items() if slope > CLOSE * steepest]
    reached: set[Place] = set()
    new = {next(place for place in places if place.axis == axis) for axis in dict.fromkeys(p.axis for p in places)}
    while new:
        reached |= new
        now = shares.slopes(images, reached)
        new = {place for place in places if place not in reached and now[place] > CLOSE * slopes[place]}
    apart: dict[str, list[str]] = {}
    for place in places:
        if place not in reached:
            apart.setdefault(place.axis, []).append(place.parameter)
    return apart


@final
class _Shares:
    """The values of a model, as parts: one that no exchange of units changes, and for each place a signed one."""

    def __init__(self, model: nn.Module, derivation: Derivation, axes: Iterable[str]) -> None:
        self._model = model
        self._orders = {axis: _in_pairs(derivation.axes[axis]) for axis in axes}
        self._derivation = derivation
        self.even: dict[str, Tensor] = {}
        self.signed: dict[Place, Tensor] = {}
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and (places := list(self._places(name))):
                self._take_apart(tensor.detach(), places)

    def slopes(self, images: Tensor, there: set[Place]) -> Mapping[Place, float]:
        """Absolute derivatives by the signed parts of all places, where those of some are there."""
        factors = {place: torch.tensor(float(place in there), dtype=images.dtype) for place in self.signed}
        for factor in factors.values():
            factor.requires_grad_()
        state = dict(self.even)
        for place, signed in self.signed.items():
            state[place.parameter] = state[place.parameter] + factors[place] * signed
        # In a copy, since some models keep what they have computed from their parameters.
        with InDouble():
            outputs = logits(torch.func.functional_call(sharing(self._model), state, (images,)))
        weights = torch.randn(outputs.shape, dtype=outputs.dtype, generator=torch.Generator().manual_seed(0))
        gradients = torch.autograd.grad((outputs * weights).sum(), list(factors.values()), allow_unused=True)
        return {
            place: 0.0 if gradient is None else float(gradient.abs())
            for place, gradient in zip(factors, gradients, strict=True)
        }

    def _places(self, name: str) -> Iterator[Place]:
        for number, dim in enumerate(self._derivation.parameters.get(name, ())):
            for axis in dict.fromkeys(self._derivation.atoms(dim)):
                if axis in self._orders:
                    yield Place(name, number, axis)

    def _take_apart(self, tensor: Tensor, places: list[Place]) -> None:
        """Parts that change their sign at two places at once are left out."""
        self.even[places[0].parameter] = self._part(tensor, places, None)
        if not places[0].parameter.endswith(STATISTICS):
            self.signed |= {place: self._part(tensor, places, place) for place in places}

    def _part(self, tensor: Tensor, places: list[Place], signed: Place | None) -> Tensor:
        for place in places:
            dim = self._derivation.parameters[place.parameter][place.number]
            order = positions(dim, self._derivation, {place.axis: self._orders[place.axis]})
            moved = tensor.index_select(place.number, order)
            tensor = (tensor - moved if place == signed else tensor + moved) / 2
        return tensor


def _in_pairs(units: int) -> Tensor:
    """The order in which every unit stands where its neighbour stood; of an odd number the last one stays."""
    order = torch.arange(units)
    paired = units // 2 * 2
    order[:paired] = order[:paired].view(-1, 2).flip(1).flatten()
    return order
