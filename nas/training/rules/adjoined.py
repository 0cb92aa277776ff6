"""Adjoined training of a whole supernet: the largest and random sub-networks on the same batch, under the adjoined
loss (Goel 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, final

from pydantic import Field
from torch import Tensor

from nas.training.losses import divergence, ramp
from nas.training.rules._base import Batch, SupernetRule
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import SearchSpace


@final
@dataclass(frozen=True)
class Adjoined(SupernetRule):
    """CE(largest) + lambda(t) times the mean of KL(largest || small) over `random` random sub-networks.

    `detach` and `small_ce` as in `nas.training.losses.adjoined_loss`.
    """

    random: Annotated[int, Field(ge=1)] = 1
    detach: bool = False
    small_ce: bool = False

    @property
    def draws(self) -> int:
        """Random architectures per batch."""
        return self.random

    def losses(self, batch: Batch, space: SearchSpace, context: StepContext) -> Iterator[Tensor]:
        """Yields the parts of the loss."""
        large = context.module(batch.images, space.largest)
        loss = context.criterion(large, batch.targets)
        teacher = large.detach() if self.detach else large
        for architecture in batch.architectures:
            small = context.module(batch.images, architecture)
            part = ramp(context.progress) * divergence(teacher, small)
            part = part + context.criterion(small, batch.targets) if self.small_ce else part
            loss = loss + part / self.random
        yield loss  # one part: the divergence also reaches the largest, so its graph is needed to the end
