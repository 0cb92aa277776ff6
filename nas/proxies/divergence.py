"""Divergence from the largest sub-network, by which in-place distillation trains (BigNAS, arXiv 2003.11142), as a
score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from nas.evaluation.evaluate import evaluating
from nas.proxies._base import Evidence, Proxy
from nas.searchspaces import Architecture
from nas.system.memory import memory_for

BATCH = 512


@final
@dataclass(frozen=True, kw_only=True)
class Divergence(Proxy):
    """Minus the mean divergence of a sub-network's outputs from those of the largest one, with shared weights, on the
    search-validation split. It needs no labels, and is never tied.
    """

    @override
    def scores(self, evidence: Evidence, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        supernet, split = evidence.supernet, evidence.data.validation
        device = next(supernet.parameters()).device
        totals = np.zeros(len(architectures))
        with memory_for(f"measure in batches of {BATCH}"), evaluating(supernet), torch.inference_mode():
            largest, *subnets = (supernet.subnet(one) for one in (supernet.space.largest, *architectures))
            for batch in split.batches(BATCH, device=device):
                reference = largest(batch.inputs)
                totals += [
                    len(batch) * float(evidence.data.task.divergence(reference, subnet(batch.inputs)))
                    for subnet in subnets
                ]
        return -totals / len(split)
