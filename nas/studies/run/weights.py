"""Weights of whole models in a run's folder: safetensors, whole or not at all, and what to do when they are damaged."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from nas.errors import CheckpointError, ModelError
from nas.studies.run.folder import write_bytes
from nas.supernets.checkpoint import load_own_weights
from nas.supernets.decompositions import Factoring

WEIGHTS = "weights.safetensors"
"""In the folders of the stages that train: what they end with."""


def save_weights(path: Path, module: nn.Module) -> None:
    """Writes the state dict."""
    write_bytes(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}))


def load_weights(path: Path, module: nn.Module) -> None:
    """Loads what `save_weights` wrote. Raises `CheckpointError` when the file is missing, damaged or foreign."""
    try:
        load_own_weights(module, path)
    except CheckpointError as fault:
        raise CheckpointError(
            f"{fault}; make it and what follows anew: nas run {path.parent.parent} --from {path.parent.name}"
        ) from fault


def save_factoring(path: Path, factoring: Factoring) -> None:
    """Writes by what a supernet factors its matrices."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in factoring.covariances.items()}
    write_bytes(path, save(tensors, metadata={"method": factoring.method}))


def load_factoring(path: Path) -> Factoring:
    """Loads what `save_factoring` wrote. Raises `CheckpointError` when the file is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            return Factoring(str(file.metadata()["method"]), {name: file.get_tensor(name) for name in names})
    except (SafetensorError, OSError, KeyError, TypeError, ModelError) as fault:
        raise CheckpointError(
            f"{path}: damaged or missing ({fault}); make it and what follows anew: nas run {path.parent.parent} --from "
            f"{path.parent.name}"
        ) from fault
