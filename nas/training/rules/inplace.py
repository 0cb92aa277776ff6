"""In-place distillation: random sub-networks learn from what the largest answers on the same batch (Yu and Huang, arXiv
1903.05134, who do this within the sandwich rule).
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
class InPlace(SupernetRule):
    """The task's criterion for the largest; for `random` random ones the divergence from the largest's answer, held
    fixed. As `sandwich`, without the smallest in every step: a step costs less, and no sub-network is preferred.

    targets   the share of the task's criterion in what the random ones learn from
    """

    compares: ClassVar[bool] = True

    random: Annotated[int, whole(1, 1000)] = 2
    targets: Share = 0.0

    @property
    @override
    def draws(self) -> int:
        return self.random

    @property
    @override
    def parts(self) -> int:
        return 1 + self.random

    @override
    def losses(self, batch: Batch, subnets: Subnets, context: StepContext) -> Iterator[Tensor]:
        outputs = context.outputs(batch, subnets.largest)
        teacher = context.task.detached(outputs)
        yield context.criterion(outputs, batch.targets)
        del outputs  # and with them the largest's activations
        for architecture in subnets.random:
            student = context.outputs(batch, architecture)
            yield in_place_loss(student, teacher, batch.targets, context, self.targets)
