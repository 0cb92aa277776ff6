"""AdamW with its two groups of parameters, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]  # timm re-exports without __all__
from torch import nn

from nas.training.recipe import Recipe


@runtime_checkable
class Paced(Protocol):
    """A module some of whose parameters learn at a rate of their own, without weight decay."""

    def paces(self) -> Mapping[str, float]:
        """Full parameter name -> its learning rate over the recipe's; the rest learn as the recipe says."""
        ...


def adamw(module: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; no decay for vectors, and for what a module of timm's names in
    `no_weight_decay()` (tokens, positions). A group's `pace` multiplies the learning rate, see `Paced`.
    """
    # What has a pace of its own is taken out of timm's groups (with and without decay), and stands in groups alone.
    paces = module.paces() if isinstance(module, Paced) else {}
    apart = {name: parameter for name, parameter in module.named_parameters() if name in paces}
    own = set(map(id, apart.values()))
    groups: list[dict[str, Any]] = [
        {**group, "params": [parameter for parameter in group["params"] if id(parameter) not in own], "pace": 1.0}
        for group in param_groups_weight_decay(module, recipe.weight_decay, no_weight_decay_list=_undecayed(module))
    ]
    groups += [{"params": [p], "weight_decay": 0.0, "pace": paces[name]} for name, p in apart.items()]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=recipe.lr)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Rate of optimiser step `step` (from 0) of epochs x steps_per_epoch: linear from 0 to `lr`, then cosine to 0."""
    total = recipe.epochs * steps_per_epoch
    # A run shorter than its warm-up would never reach its peak: then half of it is warm-up.
    warmup = round(min(recipe.warmup, recipe.epochs / 2) * steps_per_epoch)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _undecayed(module: nn.Module) -> set[str]:
    """Full names of the parameters that any module inside `module` wants without decay; a supernet wraps timm's model,
    hence the walk.
    """
    names = set()
    for prefix, part in module.named_modules():
        listed = getattr(part, "no_weight_decay", None)
        if callable(listed):
            names |= {f"{prefix}.{name}" if prefix else name for name in listed()}
    return names
