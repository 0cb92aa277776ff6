"""AdamW with its two groups of parameters, and the learning rate as a function of the step."""

from __future__ import annotations

import math

import torch
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]  # timm re-exports without __all__
from torch import nn

from nas.training.recipe import Recipe


def adamw(module: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; no decay for vectors, and for what a module of timm's names in
    `no_weight_decay()` (tokens, positions).
    """
    return torch.optim.AdamW(
        param_groups_weight_decay(module, recipe.weight_decay, no_weight_decay_list=_undecayed(module)), lr=recipe.lr
    )


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Rate of optimiser step `step` (from 0) of epochs x steps_per_epoch: linear from 0 to `lr`, then cosine to 0."""
    total = recipe.epochs * steps_per_epoch
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
