"""Batches: what a step of training or of evaluation looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, final, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@runtime_checkable
class TargetObject(Protocol):
    """Targets that are more than tensors, such as `nas.tasks.Annotations`. What they can is what tensors can."""

    def __len__(self) -> int:
        """Of how many inputs they are."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """Those of the same inputs on a device."""
        ...

    def at(self, indices: Tensor) -> Self:
        """Those of the inputs at these indices (int64), in this order; copies."""
        ...

    def between(self, start: int, stop: int) -> Self:
        """Those of the inputs from `start` to `stop`; views."""
        ...

    @staticmethod
    def joined(parts: Sequence[Any]) -> TargetObject:
        """Those of several groups of inputs, one after the other; at least one group."""
        ...


Targets: TypeAlias = "Tensor | Mapping[str, Tensor] | TargetObject"
"""What a task wants of each input: one tensor, several by name, or an object of its own. The first dimension of tensors
counts the inputs.
"""


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs (float, B x ...) and their targets. A batch knows how many there are, and how it is moved and divided.

    share   of what the whole batch has of `nas.tasks.Task.weight`, where this is a part of it; None where it is no part
    """

    inputs: Tensor
    targets: Targets
    share: float | None = None

    def __post_init__(self) -> None:
        targets = self.targets.values() if isinstance(self.targets, Mapping) else [self.targets]
        assert all(len(target) == len(self.inputs) for target in targets), "a target for each input"

    def __len__(self) -> int:
        """How many inputs there are."""
        return len(self.inputs)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        return Batch(self.inputs.to(device), _changed(self.targets, lambda targets: targets.to(device)))

    def at(self, indices: Tensor) -> Batch:
        """The inputs at these indices (int64), in this order, with their targets; copies."""
        return Batch(self.inputs[indices], targets_at(self.targets, indices))

    def between(self, start: int, stop: int) -> Batch:
        """The inputs from `start` to `stop`, with their targets; views."""
        return Batch(self.inputs[start:stop], targets_between(self.targets, start, stop))


def targets_at(targets: Targets, indices: Tensor) -> Targets:
    """The targets of the inputs at these indices (int64), in this order; copies."""
    return _changed(targets, lambda one: one.at(indices) if isinstance(one, TargetObject) else one[indices])


def targets_between(targets: Targets, start: int, stop: int) -> Targets:
    """The targets of the inputs from `start` to `stop`; views."""
    return _changed(targets, lambda one: one.between(start, stop) if isinstance(one, TargetObject) else one[start:stop])


def joined(batches: Sequence[Batch]) -> Batch:
    """Several batches, one after the other; at least one."""
    import torch

    inputs, parts = torch.cat([batch.inputs for batch in batches]), [batch.targets for batch in batches]
    first: Any = parts[0]
    if isinstance(first, Mapping):
        return Batch(inputs, {name: torch.cat([part[name] for part in parts]) for name in first})  # type: ignore[index]
    return Batch(inputs, first.joined(parts) if isinstance(first, TargetObject) else torch.cat(parts))  # type: ignore[arg-type]


def _changed(targets: Targets, change: Callable[[Any], Any]) -> Targets:
    """The targets with each tensor in them, or the object that they are, changed."""
    if isinstance(targets, Mapping):
        return {name: change(target) for name, target in targets.items()}
    changed: Targets = change(targets)
    return changed
