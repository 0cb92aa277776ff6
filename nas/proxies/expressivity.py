"""Expressivity (Lee and Ham, AZ-NAS, arXiv 2403.19232)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn
from typing_extensions import override

from nas.proxies._base import AtStart, Evidence
from nas.proxies._expressing import entropies


@final
@dataclass(frozen=True, kw_only=True)
class Expressivity(AtStart):
    """Sum over blocks of the entropy of the principal components of their features, for images of noise.

    As in the paper, but with the model's own initialisation.
    """

    @override
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        return sum(entropies(network, evidence))
