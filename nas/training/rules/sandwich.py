"""The sandwich rule: largest, smallest and some random sub-networks in every step, the largest teaching the others (Yu
and Huang 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, final

from pydantic import Field
from torch import Tensor

from nas.training.losses import divergence
from nas.training.rules._base import Batch, SupernetRule
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import SearchSpace


@final
@dataclass(frozen=True)
class Sandwich(SupernetRule):
    """Cross-entropy for the largest; for the smallest and `random` random ones the divergence from the largest's
    answer, held fixed.

    The parts are summed, as published. Each is differentiated before the next sub-network runs, so the memory is that
    of the largest.
    """

    random: Annotated[int, Field(ge=0)] = 2

    @property
    def draws(self) -> int:
        """Random architectures per batch."""
        return self.random

    def losses(self, batch: Batch, space: SearchSpace, context: StepContext) -> Iterator[Tensor]:
        """Yields the parts of the loss."""
        logits = context.module(batch.images, space.largest)
        teacher = logits.detach()
        yield context.criterion(logits, batch.targets)
        del logits
        for architecture in (space.smallest, *batch.architectures):
            yield divergence(teacher, context.module(batch.images, architecture))
