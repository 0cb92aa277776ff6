"""How many directions the features of each block take up: the ground of AZ-NAS's expressivity and progressivity."""

from __future__ import annotations

import torch
from torch import nn

from nas.proxies._base import Evidence
from nas.proxies._blocks import noise_flows
from nas.proxies._entropy import entropy


def entropies(network: nn.Module, evidence: Evidence) -> list[float]:
    """For each block, the entropy of the principal components of what leaves it, over images and tokens."""
    with torch.no_grad():
        features = [flow.leaving.flatten(0, -2).double() for flow in noise_flows(network, evidence)]
        # Eigenvalues of the covariance (C x C); rounding may leave some just below 0.
        return [entropy(torch.linalg.eigvalsh(x.T.cov()).clamp(min=0)) for x in features]
