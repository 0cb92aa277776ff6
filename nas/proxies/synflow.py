"""Synaptic flow (Tanaka et al., arXiv 2006.05467; as a score of networks: Abdelfattah et al., arXiv 2101.08134)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from torch import nn
from typing_extensions import override

from nas.proxies._base import Evidence, OfSummedOutputs
from nas.proxies._positive import flows


@final
@dataclass(frozen=True, kw_only=True)
class SynFlow(OfSummedOutputs):
    """Logarithm of the sum over weights of |weight| x gradient, in a network of absolute weights, for an image of ones.

    The papers' networks have batch norms, which they leave out; ours leaves out layer norms too. The logarithm keeps
    the order.
    """

    @override
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        shape = evidence.batch.inputs.shape[1:]
        return math.log(sum(float((weight * gradient).sum()) for weight, gradient in flows(network, shape).values()))
