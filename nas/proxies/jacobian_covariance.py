"""Jacobian covariance (Mellor et al., arXiv 2006.04647v1; "jacob_cov" of arXiv 2101.08134)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import nn
from typing_extensions import override

from nas.proxies._base import Evidence, OfSummedOutputs

SMALL = 1e-5
"""Added to eigenvalues, as in the paper."""


@final
@dataclass(frozen=True, kw_only=True)
class JacobianCovariance(OfSummedOutputs):
    """How differently a network reacts to different images: with the eigenvalues v of the correlations between the
    gradients of the summed outputs towards each image, minus the sum of log v + 1/v.

    As in the paper, on training images of the study.
    """

    @override
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        images = evidence.batch.inputs.clone().requires_grad_()
        (jacobian,) = torch.autograd.grad(network(images).sum(), images)
        values = torch.linalg.eigvalsh(torch.corrcoef(jacobian.flatten(1).double())) + SMALL
        return -float((values.log() + 1 / values).sum())
