"""Uniform sampling: random sub-networks learn from the labels alone (single path one-shot, Guo et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, final

from pydantic import Field
from torch import Tensor

from nas.training.rules._base import Batch, SupernetRule
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import SearchSpace


@final
@dataclass(frozen=True)
class Uniform(SupernetRule):
    """Cross-entropy of `random` random sub-networks per step, their mean."""

    random: Annotated[int, Field(ge=1)] = 1

    @property
    def draws(self) -> int:
        """Random architectures per batch."""
        return self.random

    def losses(self, batch: Batch, space: SearchSpace, context: StepContext) -> Iterator[Tensor]:  # noqa: ARG002
        """Yields the parts of the loss."""
        for architecture in batch.architectures:
            yield context.criterion(context.module(batch.images, architecture), batch.targets) / self.random
