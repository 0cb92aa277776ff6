"""What rules share in which the largest sub-network teaches the others on the same batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from torch import Tensor
from typing_extensions import override

from nas.numbers import Share
from nas.tasks import Batch
from nas.training.losses import in_place_loss
from nas.training.rules._base import Subnets, SupernetRule
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import Architecture


@dataclass(frozen=True, kw_only=True)
class TaughtByLargest(SupernetRule):
    """The task's criterion for the largest; for its `students` the divergence from its answer, held fixed.

    targets   the share of the task's criterion in what the students learn from. With 0, at a high learning rate,
              nothing holds the largest: what pulls at the shared weights changes its answers, and all follow them
    """

    targets: Share = 0.0

    @property
    @override
    def compares(self) -> bool:
        """Not where the targets say all."""
        return self.targets < 1

    @abstractmethod
    def students(self, subnets: Subnets) -> Sequence[Architecture]:
        """Who learns from the largest."""

    @final
    @override
    def losses(self, batch: Batch, subnets: Subnets, context: StepContext) -> Iterator[Tensor]:
        outputs = context.outputs(batch, subnets.largest)
        teacher = context.task.detached(outputs)
        yield context.criterion(outputs, batch.targets)
        del outputs  # and with them the largest's activations: they are not needed any more
        for architecture in self.students(subnets):
            student = context.outputs(batch, architecture)
            yield in_place_loss(student, teacher, batch.targets, context, self.targets)
