"""What one training step computes: the interface between the loop and the losses, and the numbers a loss may depend
on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from torch import Tensor, nn

from nas.tasks import Batch, Criterion, Outputs, Task

if TYPE_CHECKING:
    from nas.searchspaces import Architecture


@final
@dataclass(frozen=True)
class StepContext:
    """Where training stands.

    module         what is trained
    data_task      what a model of the data is for; None for activations, whose steps bring a loss of their own
    smoothing      of the targets, as the recipe says
    seed           of the training
    epoch          counted from 0
    step           counts the batches of the epoch from 0
    steps          batches of an epoch
    progress       share of all batches that is done, in [0, 1)
    own_criterion  in place of the task's, where a step wraps another one: see `nas.training.objectives.taught`
    """

    module: nn.Module
    data_task: Task | None
    smoothing: float
    seed: int
    epoch: int
    step: int
    steps: int
    progress: float
    own_criterion: Criterion | None = None

    @property
    def task(self) -> Task:
        """The task of the data, which must have one."""
        assert self.data_task is not None, "these data have no task: the step needs a loss of its own"
        return self.data_task

    def outputs(self, batch: Batch, *architecture: Architecture) -> Outputs:
        """Of the module for a batch; of a supernet, with the architecture that is wanted."""
        return self.module(self.task.learning_inputs(batch), *architecture)

    @property
    def criterion(self) -> Criterion:
        """The task's loss against the targets, with the recipe's smoothing."""
        if self.own_criterion is not None:
            return self.own_criterion
        return self.task.criterion(self.smoothing)


Step = Callable[[Batch, StepContext], Iterator[Tensor]]
"""What `fit` minimises: (batch, context) -> scalars.

A step yields its loss in parts. Each part is differentiated before the next is asked for, so that the activations of
one sub-network are freed before the next one runs: training k sub-networks takes the memory of one. The loss is their
sum.
"""
