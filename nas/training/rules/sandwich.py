"""The sandwich rule: largest, smallest and some random sub-networks in every step, the largest teaching the others (Yu
and Huang 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

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
class Sandwich(SupernetRule):
    """The task's criterion for the largest; for the smallest and `random` random ones the divergence from the
    largest's answer, held fixed.

    The parts are summed, as published. Each is differentiated before the next sub-network runs, so the memory is that
    of the largest.
    """

    random: Annotated[int, whole(0, 1000)] = 2
    compares: ClassVar[bool] = True

    @property
    @override
    def draws(self) -> int:
        return self.random

    @override
    def losses(
        self, batch: Batch, architectures: Sequence[Architecture], space: SearchSpace, context: StepContext
    ) -> Iterator[Tensor]:
        outputs = context.outputs(batch, space.largest)
        teacher = context.task.detached(outputs)
        yield context.criterion(outputs, batch.targets)
        del outputs  # and with them the largest's activations: they are not needed any more
        for architecture in (space.smallest, *architectures):
            yield context.task.divergence(teacher, context.outputs(batch, architecture))
