"""What every rule for training a supernet shares: random sub-networks, drawn for a whole epoch at once, from a seed of
the epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nas import seeds
from nas.tasks import Batch
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import Architecture, Limit, SearchSpace


@dataclass(frozen=True)
class SupernetRule(ABC):
    """Subclass as a frozen dataclass; its fields are the options in YAML. `random` (random sub-networks per step) must
    be one of them.
    """

    compares: ClassVar[bool] = False
    """Whether it compares outputs of two networks: then the task must have a divergence."""

    @property
    @abstractmethod
    def draws(self) -> int:
        """How many random architectures `losses` needs per batch."""

    @abstractmethod
    def losses(
        self, batch: Batch, architectures: Sequence[Architecture], space: SearchSpace, context: StepContext
    ) -> Iterator[Tensor]:
        """Yields the loss in parts, as `Step` does. `architectures` are the random ones that were drawn for the batch;
        `context.outputs(batch, architecture)` runs a sub-network.
        """

    @final
    def step(self, space: SearchSpace, limit: Limit | None = None) -> SupernetStep:
        """This rule as a step for `fit`. Random architectures are drawn uniformly, within `limit` if there is one."""
        return SupernetStep(self, space, limit)


@final
class SupernetStep:
    """A rule bound to a space. The architectures of a step follow from (seed, epoch, step) alone."""

    def __init__(self, rule: SupernetRule, space: SearchSpace, limit: Limit | None = None) -> None:
        self.rule, self.space, self.limit = rule, space, limit
        self._drawn: tuple[tuple[int, int, int], NDArray[np.int64]] | None = None

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the parts of the loss, as `Step` does."""
        yield from self.rule.losses(batch, self.architectures(context), self.space, context)

    def architectures(self, context: StepContext) -> list[Architecture]:
        """The random architectures of this step. One table is drawn per epoch: drawing row by row would cost more than
        a small step.
        """
        if self.rule.draws == 0:
            return []
        key = (context.seed, context.epoch, context.steps)
        if self._drawn is None or self._drawn[0] != key:
            rng = np.random.default_rng(seeds.derive(context.seed, seeds.SAMPLING, context.epoch))
            self._drawn = key, self.space.sample_table(rng, context.steps * self.rule.draws, self.limit)
        first = context.step * self.rule.draws  # this step's rows of the epoch's table
        return self.space.from_table(self._drawn[1][first : first + self.rule.draws])
