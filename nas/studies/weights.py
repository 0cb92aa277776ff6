"""Weights of whole models in a run's folder: safetensors, whole or not at all, and what to do when they are damaged."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save
from torch import nn

from nas.errors import CheckpointError
from nas.studies.folder import write_bytes
from nas.supernets.checkpoint import load_weights as load_checkpoint


def save_weights(path: Path, module: nn.Module) -> None:
    """Writes the state dict."""
    write_bytes(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}))


def load_weights(path: Path, module: nn.Module) -> None:
    """Loads what `save_weights` wrote. Raises `CheckpointError` when the file is missing, damaged or foreign."""
    try:
        load_checkpoint(module, path)
    except CheckpointError as fault:
        raise CheckpointError(
            f"{fault}; delete the folder '{path.parent}' and run again: the stage is then redone"
        ) from fault
