"""Synaptic diversity and saliency (DSS, for vision transformers: Zhou et al., TF-TAS, arXiv 2203.12217)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import nn
from typing_extensions import override

from nas.proxies._base import Evidence, OfSummedOutputs
from nas.proxies._blocks import matrices
from nas.proxies._positive import flows


@final
@dataclass(frozen=True, kw_only=True)
class Dss(OfSummedOutputs):
    """Over matrices of attention, the nuclear norm of the weights x that of their gradients (diversity); over those of
    feed-forward networks, the sum of weight x gradient (saliency); the logarithm of the sum of both.

    Weights are absolute and the image is one of ones, as for synflow. Ours leaves out norms, and layers outside of
    blocks. Both parts are just added, as in the paper, so the greater one decides.
    """

    @override
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        attention, feed_forward = matrices(evidence.supernet, network)
        flowing = flows(network, evidence.batch.inputs.shape[1:])
        diversity = sum(
            float(torch.linalg.matrix_norm(weight, "nuc") * torch.linalg.matrix_norm(gradient, "nuc"))
            for weight, gradient in (flowing[name] for name in attention)
        )
        saliency = sum(
            float((weight * gradient).sum()) for weight, gradient in (flowing[name] for name in feed_forward)
        )
        return math.log(diversity + saliency)
