"""Gradients of several losses joined without their conflicts: gradient surgery (PCGrad, arXiv 2001.06782)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn


def projected(parts: Iterator[Tensor], module: nn.Module, rng: np.random.Generator) -> Tensor:
    """A loss with the value of the sum of all parts, whose gradient is the sum of `surgery` on their gradients.

    Parts are differentiated one after the other, so their activations do not add up; their gradients do. On several
    ranks each sees to the conflicts in its own part of the batch. With float16 these gradients are not scaled.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    losses: list[Tensor] = []
    gradients: list[Tensor] = []
    used = [False] * len(parameters)
    for part in parts:
        with torch.autocast(part.device.type, enabled=False):
            own = torch.autograd.grad(part, parameters, allow_unused=True)
        used = [was or gradient is not None for was, gradient in zip(used, own, strict=True)]
        filled = [p.new_zeros(p.numel()) if g is None else g.flatten() for p, g in zip(parameters, own, strict=True)]
        gradients.append(torch.cat(filled))
        losses.append(part.detach())
    sizes = [parameter.numel() for parameter in parameters]
    joined = torch.split(torch.stack(surgery(gradients, rng)).sum(0), sizes)
    loss = torch.stack(losses).sum()
    # A term that is linear in a parameter gives it any gradient that one likes. Its value is 0. What no part used has
    # no term, and with that no gradient: it stays as it is.
    for parameter, gradient, one in zip(parameters, joined, used, strict=True):
        if one:
            loss = loss + (parameter - parameter.detach()).flatten() @ gradient
    return loss


def surgery(gradients: Sequence[Tensor], rng: np.random.Generator) -> list[Tensor]:
    """Each gradient without its share along those that it conflicts with (whose product with it is negative), one
    after the other in random order.

    The others are as they were given, as published: what is returned may still conflict.
    """
    freed = []
    for position, gradient in enumerate(gradients):
        own = gradient.clone()
        for other in rng.permutation([n for n in range(len(gradients)) if n != position]):
            against = gradients[int(other)]
            product, length = own @ against, against @ against
            # Without a branch, so that nothing waits for a GPU.
            own = own - torch.where(length > 0, product.clamp(max=0) / length.clamp(min=1e-30), 0.0) * against
        freed.append(own)
    return freed
