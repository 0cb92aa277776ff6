"""Progressivity (Lee and Ham, AZ-NAS, arXiv 2403.19232)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from torch import nn
from typing_extensions import override

from nas.proxies._base import AtStart, Evidence
from nas.proxies._expressing import entropies


@final
@dataclass(frozen=True, kw_only=True)
class Progressivity(AtStart):
    """The least growth of expressivity from one block to the next; NaN for a network of one block.

    As in the paper, but with the model's own initialisation.
    """

    @override
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        steps = [after - before for before, after in pairwise(entropies(network, evidence))]
        return min(steps, default=math.nan)
