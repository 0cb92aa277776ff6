"""Activations as data: inputs of a part of a network, and what it shall make of them, so that `fit` trains the part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nas.data.split import Augment


@final
@dataclass(frozen=True, eq=False)
class Activations:
    """Inputs and targets, float N x ... each, cached in memory. They are data of one split, without classes."""

    inputs: Tensor
    targets: Tensor
    name: str = "activations"
    classes: int = 0

    def __post_init__(self) -> None:
        assert len(self.inputs) == len(self.targets)

    @property
    def train(self) -> Activations:
        """Itself: see `nas.data.split.Trainable`."""
        return self

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        augment: Augment = "none",  # noqa: ARG002  (activations are what they are)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`."""
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        for indices_B in torch.split(order, size):
            yield self.inputs[indices_B].to(device), self.targets[indices_B].to(device)
