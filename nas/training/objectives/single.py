"""Steps that train one architecture: plain, adjoined (with the largest network of its supernet), distilled (from a
fixed teacher).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

import torch
from torch import Tensor, nn

from nas.tasks import Batch
from nas.training.losses import adjoined_loss, distillation_loss
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import Architecture

RetrainLoss = Literal["adjoined", "distilled", "plain"]
"""Names of the three in YAML (`retrain: {loss: adjoined}`)."""


@final
@dataclass(frozen=True)
class PlainStep:
    """The task's criterion, for a plain module."""

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the loss."""
        yield context.criterion(context.outputs(batch), batch.targets)


@final
@dataclass(frozen=True)
class AdjoinedStep:
    """The adjoined loss of two sub-networks of one supernet (the module that is fitted), which learn together through
    the weights they share.

    `small` is the architecture to retrain, `large` the space's largest. See `adjoined_loss` for the switches. In the
    first `cutting` epochs, in which blocks are cut (`nas.training.objectives.gradual`), the small network learns from
    the targets too: the divergence alone weighs next to nothing then, and who loses units must relearn.
    """

    small: Architecture
    large: Architecture
    detach: bool = False
    small_ce: bool = False
    cutting: int = 0

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the loss."""
        large, small = context.outputs(batch, self.large), context.outputs(batch, self.small)
        small_ce = self.small_ce or context.epoch < self.cutting
        yield adjoined_loss(large, small, batch.targets, context, detach=self.detach, small_ce=small_ce)


@final
@dataclass(frozen=True)
class DistilledStep:
    """Distillation from `teacher`, a frozen module, into the module that is fitted."""

    teacher: nn.Module
    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        self.teacher.eval()

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the loss."""
        with torch.no_grad():
            # the teacher may have come from another process, on the CPU
            taught = self.teacher.to(batch.inputs.device)(batch.inputs)
        yield distillation_loss(
            context.outputs(batch),
            taught,
            batch.targets,
            context,
            weight=self.weight,
            temperature=self.temperature,
        )
