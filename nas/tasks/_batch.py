"""Batches: what a step of training or of evaluation looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, final

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Targets: TypeAlias = "Tensor | Mapping[str, Tensor]"
"""What a task wants of each input: one tensor, or several by name. The first dimension counts the inputs."""


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs (float, B x ...) and their targets. A batch knows its weight, and how it is moved and divided."""

    inputs: Tensor
    targets: Targets

    def __post_init__(self) -> None:
        targets = self.targets.values() if isinstance(self.targets, Mapping) else [self.targets]
        assert all(len(target) == len(self.inputs) for target in targets), "a target for each input"

    def __len__(self) -> int:
        """How many inputs there are: the weight of the batch in a mean over several."""
        return len(self.inputs)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        return self._mapped(lambda tensor: tensor.to(device))

    def at(self, indices: Tensor) -> Batch:
        """The inputs at these indices (int64), in this order, with their targets; copies."""
        return self._mapped(lambda tensor: tensor[indices])

    def between(self, start: int, stop: int) -> Batch:
        """The inputs from `start` to `stop`, with their targets; views."""
        return self._mapped(lambda tensor: tensor[start:stop])

    def part(self, rank: int, ranks: int) -> tuple[Batch, float]:
        """One rank's part, and which share of the batch that is. A small batch may leave it nothing.

        The parts of all ranks are the batch, in order, and their shares sum to 1: losses and gradients that are means
        over a part, weighted by its share, sum to those of the whole batch.
        """
        start, stop = len(self) * rank // ranks, len(self) * (rank + 1) // ranks
        return self.between(start, stop), (stop - start) / len(self)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        if isinstance(self.targets, Mapping):
            return Batch(change(self.inputs), {name: change(target) for name, target in self.targets.items()})
        return Batch(change(self.inputs), change(self.targets))
