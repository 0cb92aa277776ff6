"""Weight entropy: how many directions the trained weights of a sub-network use. Its exponential is the effective rank
of Roy and Vetterli (EUSIPCO 2007); that inherited weights say something of a sub-network is AutoFormer's finding (arXiv
2107.00651).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from nas.proxies._base import Evidence, Proxy
from nas.proxies._blocks import matrices
from nas.proxies._entropy import entropy
from nas.searchspaces import Architecture
from nas.supernets import Supernet


@final
@dataclass(frozen=True, kw_only=True)
class WeightEntropy(Proxy):
    """Sum over the matrices of all blocks of the entropy of their singular values, with shared weights.

    No paper's score as it stands: the simplest that reads trained weights and nothing else.
    """

    @torch.no_grad()
    @override
    def scores(self, evidence: Evidence, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        supernet = evidence.supernet
        return np.array(
            [_score(supernet, supernet.extract(architecture)) for architecture in architectures], np.float64
        )


def _score(supernet: Supernet, network: nn.Module) -> float:
    attention, feed_forward = matrices(supernet, network)
    weights = (network.get_parameter(name) for name in (*attention, *feed_forward))
    return sum(entropy(torch.linalg.svdvals(weight.double())) for weight in weights)
