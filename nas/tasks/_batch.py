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
    """Inputs (float, B x ...) and their targets. A batch knows how many there are, and how it is moved and divided."""

    inputs: Tensor
    targets: Targets

    def __post_init__(self) -> None:
        targets = self.targets.values() if isinstance(self.targets, Mapping) else [self.targets]
        assert all(len(target) == len(self.inputs) for target in targets), "a target for each input"

    def __len__(self) -> int:
        """How many inputs there are."""
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

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(change(self.inputs), _mapped(self.targets, change))


def targets_at(targets: Targets, indices: Tensor) -> Targets:
    """The targets of the inputs at these indices (int64), in this order; copies."""
    return _mapped(targets, lambda tensor: tensor[indices])


def _mapped(targets: Targets, change: Callable[[Tensor], Tensor]) -> Targets:
    if isinstance(targets, Mapping):
        return {name: change(target) for name, target in targets.items()}
    return change(targets)
