"""Adjoined training of a whole supernet: the largest and random sub-networks on the same batch, under the adjoined
loss (Goel 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor
from typing_extensions import override

from nas.tasks import Batch
from nas.training.losses import ramp
from nas.training.rules._base import Subnets, SupernetRule
from nas.training.step import StepContext


@final
@dataclass(frozen=True)
class Adjoined(SupernetRule):
    """criterion(largest) + lambda(t) times the mean of divergence(largest, small) over `random` random sub-networks.

    `detach` and `small_ce` as in `nas.training.losses.adjoined_loss`.
    """

    detach: bool = False
    small_ce: bool = False

    @property
    @override
    def compares(self) -> bool:
        return True

    @property
    @override
    def parts(self) -> int:
        return 1

    @override
    def losses(self, batch: Batch, subnets: Subnets, context: StepContext) -> Iterator[Tensor]:
        large = context.outputs(batch, subnets.largest)
        loss = context.criterion(large, batch.targets)
        teacher = context.task.detached(large) if self.detach else large
        for architecture in subnets.random:
            small = context.outputs(batch, architecture)
            part = ramp(context.progress) * context.task.divergence(teacher, small)
            part = part + context.criterion(small, batch.targets) if self.small_ce else part
            loss = loss + part / self.random
        yield loss  # one part: the divergence also reaches the largest, so its graph is needed to the end
