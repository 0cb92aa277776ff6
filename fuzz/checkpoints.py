"""Checkpoints of others, for the base model of a small study."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file

from fuzz import mutate
from fuzz.examples import Examples
from fuzz.sandbox import Command
from fuzz.variants import UNTRAINED


class _Hostile:
    """Unpickled, it writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ../outside/pickled",)


def checkpoint(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Checkpoints of a base model."""
    original = examples.folder / "weights.safetensors"
    path = folder / "weights.pth"
    weights: dict[Any, Any] = dict(load_file(original))
    name = rng.choice(sorted(weights))
    kind = rng.randrange(9)
    if kind == 0:
        path = folder / "weights.safetensors"
        path.write_bytes(mutate.content(rng, original.read_bytes()))
    elif kind == 1:
        torch.save(weights, path)
        path.write_bytes(mutate.content(rng, path.read_bytes()))
    elif kind == 2:
        path.write_bytes(pickle.dumps(_Hostile()))
    elif kind == 3:
        prefix = rng.choice(("module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.", "x."))
        torch.save({prefix + key: tensor for key, tensor in weights.items()}, path)
    elif kind == 4:
        wrapper = rng.choice(("state_dict", "model", "model_ema", "x", 3))
        torch.save({wrapper: rng.choice((weights, None, [], name, {name: 3})), "epoch": 3}, path)
    elif kind == 5:
        torch.save(rng.choice((weights[name], [weights], None, 3, {}, {1: weights[name]}, {name: name})), path)
    else:
        if kind == 6:
            weights[name] = torch.full_like(weights[name], rng.choice((float("nan"), float("inf"), 1e38)))
        elif kind == 7:
            weights[name] = weights[name].flatten()[: rng.choice((0, 1, 2))]
        else:
            weights[name] = weights[name].to(rng.choice((torch.float16, torch.int8, torch.complex64, torch.bool)))
        torch.save(weights, path)
    base = {"epochs": 0, "checkpoint": path.name}
    (folder / "study.yaml").write_text(mutate.yaml({**UNTRAINED, "base": base}), encoding="utf-8")
    return [Command(words=("run", "study.yaml", "--folder", "run", "--quiet"))]
