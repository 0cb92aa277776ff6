"""The optimiser of a recipe, by timm's factory, over groups of parameters that decay, or learn, each in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

import torch
from timm.optim import (  # type: ignore[attr-defined]  # timm re-exports without __all__
    create_optimizer_v2,
    param_groups_layer_decay,
    param_groups_weight_decay,
)
from torch import nn

from nas.documents.plugged import plugin_of
from nas.errors import TrainingError
from nas.training.optimiser_options import OPTIMIZER, OptimiserOptions
from nas.training.recipe import Recipe
from nas.training.wrapped import within

PACE = "lr_scale"
"""Of a group of parameters: its learning rate over the recipe's; timm's name."""


@runtime_checkable
class Paced(Protocol):
    """A module some of whose parameters learn at a rate of their own, without weight decay."""

    def paces(self) -> Mapping[str, float]:
        """Full parameter name -> its learning rate over the recipe's; the rest learn as the recipe says."""
        ...


def optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Over the trainable parameters. Without weight decay are vectors, what a module of timm's names in
    `no_weight_decay()` (tokens, positions), and what the recipe adds to them. Raises `TrainingError` for what the
    module has no layers, or no parameters, for.

    A group's `PACE` multiplies the learning rate, see `Paced`.
    """
    options = plugin_of(recipe.optimizer, OPTIMIZER)
    # What has a pace of its own is taken out of timm's groups (with and without decay), and stands in groups alone.
    paces = module.paces() if isinstance(module, Paced) else {}
    apart = {name: parameter for name, parameter in module.named_parameters() if name in paces}
    own = set(map(id, apart.values()))
    groups: list[dict[str, Any]] = [
        {**group, "params": [parameter for parameter in group["params"] if id(parameter) not in own]}
        for group in _groups(module, recipe, options)
    ]
    # Muon's own update is for matrices of weights: what is apart learns by the optimiser that it falls back to.
    groups += [
        {"params": [parameter], "weight_decay": 0.0, PACE: paces[name], "use_fallback": True}
        for name, parameter in apart.items()
    ]
    made: torch.optim.Optimizer = create_optimizer_v2(
        [group for group in groups if group["params"]], options.name, lr=recipe.peak_lr, **options.own
    )
    return made


def _groups(module: nn.Module, recipe: Recipe, options: OptimiserOptions) -> list[dict[str, Any]]:
    """Timm's groups of all parameters: those with and without decay, or, with layer decay, two per layer."""
    undecayed = _undecayed(module) | _named(module, options.no_weight_decay)
    how: dict[str, Any] = {"weight_decay": recipe.weight_decay, "weight_decay_exclude_1d": options.filter_bias_and_bn}
    if options.layer_decay is None:
        return list(param_groups_weight_decay(module, no_weight_decay_list=undecayed, **how))
    model, prefix = within(module, "group_matcher")
    if model is None:
        raise TrainingError(
            f"optimizer.layer_decay: found {options.layer_decay:g}, but {type(module).__name__} does not say which "
            "layers it has; allowed: null"
        )
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        model,
        no_weight_decay_list={name.removeprefix(prefix) for name in undecayed},
        layer_decay=options.layer_decay,
        min_scale=options.layer_decay_min_scale,
        **how,
    )
    # What is around the model, such as norms of a small network's own, learns at the whole rate, as its head does.
    around = nn.Module()
    inside = set(map(id, model.parameters()))
    for name, parameter in module.named_parameters():
        if id(parameter) not in inside:
            around.register_parameter(name.replace(".", "/"), parameter)
    return [*groups, *param_groups_weight_decay(around, no_weight_decay_list=undecayed, **how)]


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


def _named(module: nn.Module, patterns: tuple[str, ...]) -> set[str]:
    """Full names of the parameters that patterns of timm's names mean, whatever wraps timm's model. Raises
    `TrainingError` for a pattern that means none.
    """
    names = [name for name, _ in module.named_parameters()]
    found = set()
    for pattern in patterns:
        meant = {name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")}
        if not meant:
            raise TrainingError(
                f"optimizer.no_weight_decay: found '{pattern}', which no parameter is called; allowed: names such as "
                f"'{names[0]}', and patterns of them"
            )
        found |= meant
    return found
