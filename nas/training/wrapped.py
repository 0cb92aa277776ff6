"""timm's own switches and answers, asked of the timm model that is trained, whatever wraps it: a supernet, gates, norms
of a network's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.layers.drop import DropPath
from torch import nn

from nas.errors import TrainingError


def within(module: nn.Module, method: str) -> tuple[nn.Module | None, str]:
    """The outermost module, `module` or one inside it, that has a method, and what precedes names of its parameters;
    None where there is none.
    """
    for path, part in module.named_modules():
        if callable(getattr(part, method, None)):
            return part, f"{path}." if path else ""
    return None, ""


def head(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of the classifiers."""
    model: Any = within(module, "get_classifier")[0]
    if model is None:
        return []
    heads = model.get_classifier()
    return [parameter for part in (heads if isinstance(heads, tuple) else (heads,)) for parameter in part.parameters()]


@contextmanager
def checkpointing(module: nn.Module, *, on: bool) -> Iterator[None]:
    """Activations inside blocks are computed again in the backward pass instead of being kept. Sub-networks of a
    supernet do as its model does. Raises `TrainingError` for a module that cannot.
    """
    model: Any = within(module, "set_grad_checkpointing")[0]
    if on and model is None:
        raise TrainingError(
            f"grad_checkpointing: found true, which {type(module).__name__} does not offer; allowed: false"
        )
    if not on:
        yield
        return
    model.set_grad_checkpointing(True)
    try:
        yield
    finally:
        model.set_grad_checkpointing(False)


@contextmanager
def dropping(module: nn.Module, rate: float) -> Iterator[None]:
    """Branches of blocks are left out in training, image by image: in the last block at this rate, and before it at
    rates that grow evenly from 0. Sub-networks of a supernet do as its model does. Raises `TrainingError` for a module
    whose blocks have no place for it.
    """
    if not rate:
        yield
        return
    # timm's blocks have a layer for each branch: one that drops, or, where the model was built without, an identity.
    blocks = [
        (block, [name for name, _ in block.named_children() if name.startswith("drop_path")])
        for block in module.modules()
    ]
    blocks = [(block, names) for block, names in blocks if names]
    if not blocks:
        raise TrainingError(f"drop_path: found {rate:g}, which {type(module).__name__} does not offer; allowed: 0")
    before = [(block, name, block.get_submodule(name)) for block, names in blocks for name in names]
    for depth, (block, names) in enumerate(blocks):
        for name in names:
            block.set_submodule(name, DropPath(rate * depth / max(1, len(blocks) - 1)).train(block.training))
    try:
        yield
    finally:
        for block, name, own in before:
            block.set_submodule(name, own.train(block.training))


@contextmanager
def channels_last(module: nn.Module, *, on: bool) -> Iterator[None]:
    """Filters lie in memory channel by channel last, as convolutions on a GPU like them; so do, then, the activations
    that they give. Afterwards they lie as before.
    """
    if not on:
        yield
        return
    module.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        module.to(memory_format=torch.contiguous_format)
