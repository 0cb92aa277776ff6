"""A network made positive: then what comes out is a sum over all paths of the products of their weights, and gradients
say how much runs through a weight (SynFlow, arXiv 2006.05467).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.evaluation.hooks import hooked

NORMS = (nn.LayerNorm, nn.GroupNorm, _BatchNorm)


def flows(network: nn.Module, image: Iterable[int]) -> dict[str, tuple[Tensor, Tensor]]:
    """Parameter -> its absolute values and their gradients, of the sum of outputs for an image (C x H x W) of ones.

    In float64, and without normalisation, which would hide how much flows: norms pass on what they get. The network is
    left positive.
    """
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    own = dict(network.named_parameters())
    norms = [module for module in network.modules() if isinstance(module, NORMS)]
    with hooked(norm.register_forward_hook(lambda _, inputs, __: inputs[0]) for norm in norms):
        total = network(torch.ones(1, *image, dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(total, list(own.values()), allow_unused=True)
    return {
        name: (weight.detach(), gradient)
        for (name, weight), gradient in zip(own.items(), gradients, strict=True)
        if gradient is not None
    }
