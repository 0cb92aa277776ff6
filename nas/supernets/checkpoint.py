"""Weights of a base model from a file that a user has: safetensors, or torch's format read without unpickling code."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nas.errors import CheckpointError
from nas.supernets.models import t2t

WRAPPERS = ("state_dict", "model", "model_ema", "state_dict_ema")
"""Keys under which training scripts put the weights in a torch file."""


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load `path` into `model`, every parameter of it; a classifier of other classes stays as it was initialised.

    Raises CheckpointError for a file that is missing, damaged, or that belongs to another model; `model` is then as it
    was.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    weights, wanted = _renamed(_read(path), model), model.state_dict()
    for name in _classifier(model):
        if name in weights and name in wanted and weights[name].shape[0] != wanted[name].shape[0]:
            weights[name] = wanted[name]
    if missing := [name for name in wanted if name not in weights]:
        raise CheckpointError(f"{path}: not of this {type(model).__name__}: it lacks {_some(missing)}")
    if unknown := [name for name in weights if name not in wanted]:
        raise CheckpointError(f"{path}: not of this {type(model).__name__}: it also holds {_some(unknown)}")
    for name, tensor in wanted.items():
        if weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)} there, {tuple(tensor.shape)} in the model"
            raise CheckpointError(f"{path}: not of this {type(model).__name__}: '{name}' is {shapes}")
    model.load_state_dict(weights)


def _renamed(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Names of a published checkpoint as this model has them."""
    return t2t.checkpoint_filter_fn(weights, model) if isinstance(model, t2t.T2T) else weights


def _classifier(model: nn.Module) -> list[str]:
    """Names of the parameters of a timm model's classifier, which decide how many classes it tells apart."""
    if not hasattr(model, "get_classifier"):
        return []
    timm_model: Any = model
    classifier = timm_model.get_classifier()
    heads = classifier if isinstance(classifier, tuple) else (classifier,)
    paths = [path for path, module in model.named_modules() if any(module is head for head in heads)]
    return [name for name in model.state_dict() if name.rpartition(".")[0] in paths]


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):
            content: Any = load_file(path) if path.suffix == ".safetensors" else _load_torch(path)
    except pickle.UnpicklingError as wrong:
        raise CheckpointError(f"{path}: damaged, or not only weights: it is not unpickled") from wrong
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as wrong:
        reason = str(wrong).splitlines()[0] if str(wrong) else type(wrong).__name__
        raise CheckpointError(f"{path}: damaged, or not only weights: {reason}") from wrong
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no state dict (parameter name -> tensor)")
    return content


def _load_torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _some(names: list[str]) -> str:
    return f"{len(names)} entries, first '{names[0]}'"
