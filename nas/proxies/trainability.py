"""Trainability (Lee and Ham, AZ-NAS, arXiv 2403.19232)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas import seeds
from nas.proxies._base import AtStart, Evidence
from nas.proxies._blocks import Flow, noise_flows


@final
@dataclass(frozen=True, kw_only=True)
class Trainability(AtStart):
    """Mean over blocks of 2 - s - 1/s, where s is the spectral norm of the block's Jacobian: 0, the most there is,
    where gradients neither grow nor vanish.

    The Jacobian of a block (C x C) is estimated from random signs that are sent back through it, as in the paper. Ours
    has the model's own initialisation, and leaves out blocks that put out fewer tokens than they get; NaN where no
    block is left.
    """

    @override
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        generator = torch.Generator().manual_seed(seeds.derive(evidence.seed, seeds.NOISE, 1))
        norms = [
            _spectral_norm(flow, generator)
            for flow in noise_flows(network, evidence)
            if flow.entering.shape == flow.leaving.shape
        ]
        return sum(2 - norm - 1 / norm for norm in norms) / len(norms) if norms else math.nan


def _spectral_norm(flow: Flow, generator: torch.Generator) -> float:
    signs = torch.randint(2, flow.leaving.shape, generator=generator).to(flow.leaving) * 2 - 1
    entering = flow.entering if flow.entering.requires_grad else flow.entering.requires_grad_()
    (back,) = torch.autograd.grad(flow.leaving, entering, signs, retain_graph=True)
    # Signs of different places and channels are independent: what is left of the product, in the mean, is the Jacobian.
    jacobian: Tensor = back.flatten(0, -2).T @ signs.flatten(0, -2) / signs[..., 0].numel()
    return float(torch.linalg.matrix_norm(jacobian, 2))
