"""Make a carved sub-network independent of its supernet."""

from __future__ import annotations

import copy

from torch import nn


def detach(carved: nn.Module) -> nn.Module:
    """A copy of `carved` with parameters and buffers of its own, all leaves. Call it without gradients."""
    own = copy.deepcopy(carved)
    seen: set[int] = set()
    for module in own.modules():
        for name, tensor in module._parameters.items():
            if tensor is not None:
                module._parameters[name] = nn.Parameter(tensor.detach().clone().contiguous(), tensor.requires_grad)
        for name, child in module._modules.items():
            # Gathers of the same positions are one object in a carved tree; a model of its own shares nothing.
            if child is not None and id(child) in seen:
                module._modules[name] = copy.deepcopy(child)
            seen.add(id(child))
    return own
