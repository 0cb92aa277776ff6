"""Layers that round, as files hold them: weights in int8, each with the scales of its outputs beside it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.supernets.models.int8 import Int8Linear, RoundedLinear, restored, stored

SCALE = "weight_scale"


def rounds(model: nn.Module) -> bool:
    """Whether any layer of a model rounds."""
    return any(isinstance(module, RoundedLinear | Int8Linear) for module in model.modules())


def with_int8(model: nn.Module) -> nn.Module:
    """The model with its rounding layers in int8, for good; the same bits. It is left alone, and given back itself
    where nothing rounds.
    """
    if not rounds(model):
        return model
    own = copy.deepcopy(model)
    for path, layer in _rounding(own):
        own.set_submodule(path, Int8Linear(layer).train(layer.training))
    return own


class Rounding(NamedTuple):
    """One pass through a layer that rounds: its multiply-accumulates, and the numbers that go in and come out."""

    macs: int
    numbers: int


@contextlib.contextmanager
def rounding(model: nn.Module) -> Iterator[list[Rounding]]:
    """Keeps, for a while, what the layers of a model that round have computed, one after the other."""
    found: list[Rounding] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        numbers = inputs[0].numel()
        found.append(Rounding(numbers * outputs.shape[-1], numbers + outputs.numel()))

    hooks = [layer.register_forward_hook(keep) for _, layer in _rounding(model)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def packed(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of a model as a file holds it."""
    state: dict[str, Tensor] = dict(model.state_dict())
    for path, layer in _rounding(model):
        state[f"{path}.weight"], state[f"{path}.{SCALE}"] = stored(layer.weight)
    return state


def unpacked(model: nn.Module, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], set[torch.dtype]]:
    """The way back, and the types of numbers that were not rounded. Raises `RuntimeError`, as `load_state_dict` does,
    for what is not as `packed` leaves it.
    """
    own, restored_weights = dict(state), {}
    for path, layer in _rounding(model):
        weight, scale = own.pop(f"{path}.weight", None), own.pop(f"{path}.{SCALE}", None)
        if weight is None or scale is None or weight.dtype != torch.int8:
            raise RuntimeError(f"'{path}' needs a weight in int8, and its scales")
        if weight.shape != layer.weight.shape or scale.shape != weight.shape[:1]:
            raise RuntimeError(f"'{path}' is {tuple(layer.weight.shape)}, found {tuple(weight.shape)}")
        restored_weights[f"{path}.weight"] = restored(weight, scale.float())
    return own | restored_weights, {tensor.dtype for tensor in own.values() if tensor.is_floating_point()}


def _rounding(model: nn.Module) -> Iterator[tuple[str, RoundedLinear]]:
    for path, module in list(model.named_modules()):
        if isinstance(module, RoundedLinear):
            yield path, module
