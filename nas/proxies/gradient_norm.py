"""Gradient norm ("grad_norm" of Abdelfattah et al., arXiv 2101.08134)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import nn
from typing_extensions import override

from nas.proxies._base import AtStart, Evidence


@final
@dataclass(frozen=True, kw_only=True)
class GradientNorm(AtStart):
    """Sum over parameters of the norm of the gradient of the task's loss, on one batch of training images.

    As in the paper; ours takes all parameters, the paper the weights of layers.
    """

    @override
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        batch, task = evidence.batch, evidence.data.task
        loss = task.criterion()(network(task.learning_inputs(batch)), batch.targets)
        gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
        return sum(float(gradient.norm()) for gradient in gradients if gradient is not None)
