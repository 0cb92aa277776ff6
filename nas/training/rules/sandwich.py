"""The sandwich rule: largest, smallest and some random sub-networks in every step, the largest teaching the others (Yu
and Huang 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from torch import Tensor
from typing_extensions import override

from nas.numbers import Share, whole
from nas.tasks import Batch
from nas.training.losses import in_place_loss
from nas.training.rules._base import Subnets, SupernetRule
from nas.training.step import StepContext


@final
@dataclass(frozen=True)
class Sandwich(SupernetRule):
    """The task's criterion for the largest; for the smallest and `random` random ones the divergence from the
    largest's answer, held fixed.

    The parts are summed, as published. Each is differentiated before the next sub-network runs, so the memory is that
    of the largest.

    targets   the share of the task's criterion in what the others learn from. With 0, at a high learning rate, nothing
              holds the largest: what pulls at the shared weights changes its answers, and all follow them
    """

    compares: ClassVar[bool] = True

    random: Annotated[int, whole(0, 1000)] = 2
    targets: Share = 0.0

    @property
    @override
    def draws(self) -> int:
        return self.random

    @property
    @override
    def parts(self) -> int:
        return 2 + self.random

    @override
    def losses(self, batch: Batch, subnets: Subnets, context: StepContext) -> Iterator[Tensor]:
        outputs = context.outputs(batch, subnets.largest)
        teacher = context.task.detached(outputs)
        yield context.criterion(outputs, batch.targets)
        del outputs  # and with them the largest's activations: they are not needed any more
        for architecture in (subnets.smallest, *subnets.random):
            student = context.outputs(batch, architecture)
            yield in_place_loss(student, teacher, batch.targets, context, self.targets)
