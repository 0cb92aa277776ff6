"""Build timm models, and tell search spaces (which know no torch) what they must know of a model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import nn

from nas.errors import ModelError, nearest
from nas.searchspaces import Outline
from nas.supernets.families import family_of


def build(model: str, model_args: Mapping[str, Any], *, pretrained: bool = False) -> nn.Module:
    """A timm model by name. Raises ModelError for an unknown name, or arguments that its class does not take."""
    if not timm.is_model(model):
        raise ModelError(f"timm {timm.__version__} has no model '{model}'{nearest(model, timm.list_models())}")
    try:
        built: nn.Module = timm.create_model(model, pretrained=pretrained, **model_args)
    except (TypeError, ValueError, AssertionError, RuntimeError, ZeroDivisionError) as wrong:
        arguments = ", ".join(f"{key}={value}" for key, value in model_args.items())
        raise ModelError(f"timm cannot build '{model}' with model_args {arguments or '(none)'}: {wrong}") from wrong
    return built


def outline(model: str, model_args: Mapping[str, Any]) -> Outline:
    """The axes of a timm model by name; nothing is allocated, whatever its size. Raises ModelError."""
    return _outline(model, tuple(sorted((key, _hashable(value)) for key, value in model_args.items())))


@lru_cache(maxsize=64)
def _outline(model: str, model_args: tuple[tuple[str, Any], ...]) -> Outline:
    with torch.device("meta"):
        return outline_of(build(model, dict(model_args)), model)


def outline_of(model: nn.Module, name: str) -> Outline:
    """The axes of a model that exists."""
    family = family_of(model)
    frame, elastic = family.frame(model), family.elastic(model)
    chosen = {axis for axis in frame.axes if axis.partition(".")[0] in elastic}
    chosen |= {frame.within[axis] for axis in chosen if axis in frame.within}

    def of_chosen(mapping: Mapping[str, Any]) -> dict[str, Any]:
        return {axis: value for axis, value in mapping.items() if axis in chosen}

    return Outline(name, of_chosen(frame.axes), of_chosen(frame.protected), of_chosen(frame.within), elastic)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
