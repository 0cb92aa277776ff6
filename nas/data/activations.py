"""Activations as data: inputs of a part of a network, and what it shall make of them, so that `fit` trains the part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from nas.data.order import order
from nas.data.parts import WHOLE, Part, rows_of
from nas.data.split import Batches
from nas.data.transforms import UNCHANGED, Augmentation
from nas.tasks import Batch


@final
@dataclass(frozen=True, eq=False)
class Activations(Batches):
    """Inputs and targets, float N x ... each, cached in memory. They are data of one split, without a task."""

    inputs: Tensor
    targets: Tensor
    name: str = "activations"
    classes: int = 0

    @property
    def task(self) -> None:
        """None: see `nas.data.split.Trainable`."""

    @property
    def train(self) -> Activations:
        """Itself: see `nas.data.split.Trainable`."""
        return self

    @override
    def __len__(self) -> int:
        return len(self.inputs)

    @override
    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        augment: Augmentation = UNCHANGED,
        part: Part = WHOLE,
    ) -> Iterator[Batch]:
        whole = Batch(self.inputs, self.targets)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        for indices_B in torch.split(order(len(self), generator), size):
            yield whole.at(indices_B[rows_of(len(indices_B), part)]).to(device)
