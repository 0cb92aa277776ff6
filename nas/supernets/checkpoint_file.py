"""Files of weights as other programs write them: safetensors, or torch's format read without unpickling code.

Training scripts put the weights under a key among others, average them, and wrap models, which puts a prefix before
every name. What is taken of a file, and how its names change, is said in notes.
"""

from __future__ import annotations

import argparse
import pickle
import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nas.errors import CheckpointError

WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "state_dict", "model", "model_state_dict")
"""Keys under which training scripts put the weights; as timm does, averaged weights are taken before the others."""
NAMED = 8
"""Prefixes that are considered for a file."""


@final
@dataclass(frozen=True)
class Weights:
    """What a file holds: tensors by the names that models have, and what was done to get them.

    `aside` are the names of the file that have not the prefix of the others; they may belong to something else.
    """

    tensors: dict[str, Tensor]
    aside: frozenset[str]
    notes: tuple[str, ...]


def read_weights(path: Path, names: Collection[str]) -> Weights:
    """The weights in a file, for a model whose parameters and buffers have these names.

    Raises `CheckpointError` for a file that is missing, damaged, or holds no weights.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    content, keys = _unwrapped(_content(path))
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"{path}: holds no state dict (parameter name -> tensor)")
    notes = [f"weights under '{'.'.join(keys)}'"] if keys else []
    if not (prefix := _prefix(content, names)):
        return Weights(content, frozenset(), tuple(notes))
    aside = frozenset(name for name in content if not name.startswith(prefix))
    bare = {name: tensor for name, tensor in content.items() if name in aside}
    bare |= {name.removeprefix(prefix): tensor for name, tensor in content.items() if name not in aside}
    return Weights(bare, aside, (*notes, f"names without '{prefix}'"))


def _unwrapped(content: Any) -> tuple[Any, list[str]]:
    """What lies under the keys of a training script, and these keys."""
    keys: list[str] = []
    while isinstance(content, dict):
        key = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if key is None:
            return dict(content), keys
        content, keys = content[key], [*keys, key]
    return content, keys


def _prefix(content: Mapping[str, Tensor], names: Collection[str]) -> str:
    """The prefix ("module.", "model.backbone." ...) before most of the wanted names, of averaged weights first."""
    found: Counter[str] = Counter()
    for name in content:
        parts = str(name).split(".")
        # "module.blocks.0.norm1.weight" without its first word is a wanted name; the shortest prefix counts.
        ends = (n for n in range(min(len(parts), NAMED)) if ".".join(parts[n:]) in names)
        first = next(ends, None)
        if first is not None:
            found["".join(f"{part}." for part in parts[:first])] += 1
    return max(found, key=lambda prefix: (found[prefix], "ema" in prefix), default="")


def _content(path: Path) -> Any:
    """Whatever is in a file. Raises `CheckpointError` when it cannot be read without running code."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return load_file(path) if path.suffix == ".safetensors" else _load_torch(path)
    except pickle.UnpicklingError as wrong:
        raise CheckpointError(f"{path}: damaged, or not only weights: it is not unpickled") from wrong
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError, OSError) as wrong:
        reason = str(wrong).splitlines()[0] if str(wrong) else type(wrong).__name__
        raise CheckpointError(f"{path}: damaged, or not only weights: {reason}") from wrong


def _load_torch(path: Path) -> Any:
    # The options of a training script are kept beside its weights; they are plain values.
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)
