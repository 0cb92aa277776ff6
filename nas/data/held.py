"""A split that is held as one tensor: in memory, or in a file that is mapped into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from nas.data.order import order, picture_seeds
from nas.data.parts import WHOLE, Part, rows_of
from nas.data.split import Split
from nas.data.transforms import UNCHANGED, Augmentation, Batchwise, Together, check, training, varied
from nas.preprocessing import Preprocessing
from nas.tasks import Batch, Targets, joined


@final
@dataclass(frozen=True, eq=False)
class HeldSplit(Split):
    """Images (uint8, N x C x H x W), their targets as the task wants them (first dimension N), and the constants that
    normalise the images.
    """

    images: Tensor
    targets: Targets
    constants: Preprocessing

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.uint8

    @property
    @override
    def shape(self) -> tuple[int, int, int, int]:
        count, channels, height, width = self.images.shape
        return count, channels, height, width

    @property
    @override
    def preprocessing(self) -> Preprocessing:
        return self.constants

    @property
    @override
    def in_memory(self) -> bool:
        return True

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
        check(augment, self.targets)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        epoch = order(len(self), generator, augment.repeats)
        for places in torch.split(torch.arange(len(epoch)), size):
            rows = rows_of(len(places), part)
            if seed is None or generator is None:
                batch = self._whole.at(epoch[places[rows]])
            elif isinstance(augment, Batchwise):
                # What is drawn for an image depends on those before it, so that ranks draw for the whole batch alike.
                batch = self._whole.at(epoch[places])
                batch = replace(batch, inputs=augment.batch(batch.inputs, generator))
                batch = batch if part.ranks == 1 else batch.at(rows)
            else:
                seeds = picture_seeds(seed, epoch[places[rows]], places[rows], augment.repeats)
                batch = self._varied(epoch[places[rows]], augment, seeds)
            batch = batch.to(device)  # as bytes, where they are: a quarter of what floats would take
            yield replace(batch, inputs=self.normalised(batch.inputs))

    def _varied(self, positions: Tensor, augment: Augmentation, seeds: Sequence[int]) -> Batch:
        """The pictures at these positions, each varied by its own seed."""
        if not len(positions):  # of a small batch, a rank may have none
            return self._whole.at(positions)
        if isinstance(augment, Together):
            with_others = ([position, *augment.companions(seed, len(self))]
                           for position, seed in zip(positions.tolist(), seeds, strict=True))  # fmt: skip
            groups = (self._whole.at(torch.tensor(group)) for group in with_others)
            return joined([augment.together(group, seed) for group, seed in zip(groups, seeds, strict=True)])
        batch = self._whole.at(positions)
        transform = training(augment, self.images.shape[-1], self.preprocessing)
        return replace(batch, inputs=varied(batch.inputs, transform, seeds))

    @override
    def between(self, start: int, stop: int) -> HeldSplit:
        part = self._whole.between(start, stop)
        return replace(self, images=part.inputs, targets=part.targets)

    @override
    def shuffled(self, seed: int) -> HeldSplit:
        mixed = self._whole.at(order(len(self), torch.Generator().manual_seed(seed)))
        return replace(self, images=mixed.inputs, targets=mixed.targets)

    @override
    def first(self, count: int) -> Tensor:
        return self.images[:count]

    @property
    def _whole(self) -> Batch:
        return Batch(self.images, self.targets)
