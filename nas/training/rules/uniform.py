"""Uniform sampling: random sub-networks learn from the targets alone (single path one-shot, Guo et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor
from typing_extensions import override

from nas.tasks import Batch
from nas.training.rules._base import Subnets, SupernetRule
from nas.training.step import StepContext


@final
@dataclass(frozen=True)
class UniformRule(SupernetRule):
    """The task's criterion for `random` random sub-networks per step, their mean."""

    @property
    @override
    def parts(self) -> int:
        return self.random

    @override
    def losses(self, batch: Batch, subnets: Subnets, context: StepContext) -> Iterator[Tensor]:
        for architecture in subnets.random:
            yield context.criterion(context.outputs(batch, architecture), batch.targets) / self.random
