"""Splits of a data set in memory, and the batches that they hand out.

Shapes: N images of the split, B of a batch, C channels, H = W = image_size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, final

import torch
from torch import Tensor

from nas.data.order import order, picture_seed
from nas.data.transforms import UNCHANGED, Augmentation, Batchwise, Transform, training, varied
from nas.preprocessing import Preprocessing
from nas.tasks import Batch, Targets, Task


class Batches(Protocol):
    """What hands out batches; see `Split.batches`."""

    def __len__(self) -> int: ...

    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        augment: Augmentation = UNCHANGED,
    ) -> Iterator[Batch]:
        """Batches on `device`; shuffled by a generator of `seed`, in order when it is None."""
        ...


class Trainable(Protocol):
    """What `fit` needs to know of data: `Data`, or the activations of a part of a network."""

    @property
    def train(self) -> Batches:
        """What is trained on."""
        ...

    @property
    def task(self) -> Task | None:
        """What a model of these data is for; None for activations, whose steps bring a loss of their own."""
        ...

    @property
    def classes(self) -> int:
        """How many classes there are; 0 for none."""
        ...

    @property
    def name(self) -> str:
        """Which data these are: part of the identity of a checkpoint."""
        ...


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Images (uint8, N x C x H x W), their targets as the task wants them (first dimension N), and the mean and
    deviation per channel (of pixels in 0 ... 1) that normalise the images.
    """

    images: Tensor
    targets: Targets
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.uint8

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        augment: Augmentation = UNCHANGED,
    ) -> Iterator[Batch]:
        """Batches of normalised images (float32, B x C x H x W) on `device`; the last one holds what is left.

        In order when `seed` is None, else shuffled and augmented by a generator of that seed: the same seed gives the
        same batches.
        """
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        epoch, start = order(len(self), generator, augment.repeats), 0
        for indices_B in torch.split(epoch, size):
            batch = self._whole.at(indices_B)
            if seed is not None and generator is not None:
                if isinstance(augment, Batchwise):
                    images = augment.batch(batch.inputs, generator)
                else:
                    places = range(start, start + len(indices_B))
                    seeds = [
                        picture_seed(seed, index, place, augment.repeats)
                        for index, place in zip(indices_B.tolist(), places, strict=True)
                    ]
                    images = varied(batch.inputs, self._training(augment), seeds)
                batch = replace(batch, inputs=images)
            start += len(indices_B)
            batch = batch.to(device)  # as bytes, where they are: a quarter of what floats would take
            yield replace(batch, inputs=self.normalised(batch.inputs))

    def _training(self, augment: Augmentation) -> Transform:
        return training(augment, self.images.shape[-1], Preprocessing(mean=self.mean, std=self.std))

    def between(self, start: int, stop: int) -> Split:
        """The images from `start` to `stop`, normalised as here."""
        part = self._whole.between(start, stop)
        return replace(self, images=part.inputs, targets=part.targets)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 images -> float32, each channel shifted and scaled by `mean` and `std`; floats are so already."""
        if images.dtype != torch.uint8:
            return images
        shift = torch.tensor(self.mean, device=images.device)[:, None, None]
        scale = torch.tensor(self.std, device=images.device)[:, None, None]
        return (images.float() / 255 - shift) / scale

    @property
    def _whole(self) -> Batch:
        return Batch(self.images, self.targets)


@final
@dataclass(frozen=True, eq=False)
class Data:
    """A data set in three splits, for one task. `validation` serves the search; `test` is looked at once, at the end,
    by whoever reports. `preprocessing` says how the pictures became these images, and `notes` what a user should know
    of how the data set was read.
    """

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    channels: int
    image_size: int
    name: str
    task: Task
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean per channel by which the images are normalised, pixels in 0 ... 1."""
        return self.preprocessing.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation per channel by which the images are normalised, pixels in 0 ... 1."""
        return self.preprocessing.std

    def without_test(self) -> Data:
        """The same data with an empty test split, for whoever must not look at it."""
        return replace(self, test=self.test.between(0, 0))
