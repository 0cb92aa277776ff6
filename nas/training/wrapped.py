"""timm's own switches and answers, asked of the timm model that is trained, whatever wraps it: a supernet, gates, norms
of a network's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
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
