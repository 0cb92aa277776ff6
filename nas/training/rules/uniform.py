"""Uniform sampling: random sub-networks learn from the targets alone (single path one-shot, Guo et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, final

from torch import Tensor
from typing_extensions import override

from nas.numbers import whole
from nas.tasks import Batch
from nas.training.rules._base import SupernetRule
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import Architecture, SearchSpace


@final
@dataclass(frozen=True)
class UniformRule(SupernetRule):
    """The task's criterion for `random` random sub-networks per step, their mean."""

    random: Annotated[int, whole(1, 1000)] = 1

    @property
    @override
    def draws(self) -> int:
        return self.random

    @override
    def losses(
        self,
        batch: Batch,
        architectures: Sequence[Architecture],
        space: SearchSpace,
        context: StepContext,
    ) -> Iterator[Tensor]:
        for architecture in architectures:
            yield context.criterion(context.outputs(batch, architecture), batch.targets) / self.random
