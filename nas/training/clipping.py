"""Gradients kept within bounds, by timm's modes."""

from __future__ import annotations

import torch
from timm.utils.clip_grad import dispatch_clip_grad
from torch import nn

from nas.training.wrapped import head


def clip(module: nn.Module, most: float, mode: str) -> float:
    """Clips all gradients in place, and returns the norm that they had, all together.

    `mode` is "norm" (of all together), "value" (of each number) or "agc": of each unit, over the norm of its weights;
    the classifier is left alone then, as in its paper (arXiv 2102.06171).
    """
    parameters = list(module.parameters())
    if mode == "norm":
        return float(nn.utils.clip_grad_norm_(parameters, most))
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    apart = set(map(id, head(module))) if mode == "agc" else set()
    with torch.no_grad():
        dispatch_clip_grad([p for p in parameters if id(p) not in apart], most, mode=mode)
    return float(norm)
