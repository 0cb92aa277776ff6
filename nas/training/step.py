"""What one training step computes: the interface between the loop and the losses, and the numbers a loss may depend
on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from nas.training.losses import Criterion


@final
@dataclass(frozen=True)
class StepContext:
    """Where training stands. `step` counts the batches of the epoch from 0; `progress` in [0, 1) is the share of all
    batches done.

    `criterion` is the recipe's cross-entropy (label smoothing); it takes hard and soft targets.
    """

    module: nn.Module
    criterion: Criterion
    seed: int
    epoch: int
    step: int
    steps: int
    progress: float


Step = Callable[[Tensor, Tensor, StepContext], Iterator[Tensor]]
"""What `fit` minimises: (images float32 B x C x H x W, targets int64 B or float B x K, context) -> scalars.

A step yields its loss in parts. Each part is differentiated before the next is asked for, so that the activations of
one sub-network are freed before the next one runs: training k sub-networks takes the memory of one. The loss is their
sum.
"""
