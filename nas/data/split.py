"""Splits of a data set, and the batches that they hand out.

Shapes: N images of the split, B of a batch, C channels, H = W = image_size.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self, final

import torch
from torch import Tensor
from typing_extensions import override

from nas.data.parts import WHOLE, Part
from nas.data.transforms import UNCHANGED, Augmentation
from nas.preprocessing import ImageSize, Preprocessing
from nas.tasks import Batch, Task


class Batches(ABC):
    """What hands out batches."""

    @abstractmethod
    def __len__(self) -> int:
        """How many inputs there are."""

    @abstractmethod
    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        augment: Augmentation = UNCHANGED,
        part: Part = WHOLE,
    ) -> Iterator[Batch]:
        """Batches on `device`; the last one holds what is left. Of images: normalised, float32, B x C x H x W.

        In order when `seed` is None, else shuffled and augmented by it: the same seed gives the same batches. Of each
        batch, one rank's `part` (see `nas.data.parts.rows_of`), which may be empty.
        """


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


class Split(Batches):
    """Images with their targets: held as one tensor (`nas.data.held`), or decoded when they are asked for
    (`nas.data.streamed`).
    """

    def __deepcopy__(self, memo: object) -> Self:
        """Itself: nobody writes to the images, so that copies of what looks at them share them."""
        return self

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """N, C, H, W."""

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """By which the images are normalised."""

    @property
    @abstractmethod
    def in_memory(self) -> bool:
        """Whether the images are there at once, or each look at them decodes them anew."""

    @abstractmethod
    def between(self, start: int, stop: int) -> Split:
        """The images from `start` to `stop`, normalised as here."""

    @abstractmethod
    def shuffled(self, seed: int) -> Split:
        """The same images in an order by chance."""

    @abstractmethod
    def first(self, count: int) -> Tensor:
        """The first `count` images before they are normalised: uint8, count x C x H x W."""

    @override
    def __len__(self) -> int:
        return self.shape[0]

    @property
    def values(self) -> int:
        """How many numbers all images are."""
        return math.prod(self.shape)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 images -> float32, each channel shifted and scaled; floats are normalised already."""
        if images.is_floating_point():
            return images
        shift = torch.tensor(self.preprocessing.mean, device=images.device)[:, None, None]
        scale = torch.tensor(self.preprocessing.std, device=images.device)[:, None, None]
        # In place: each new tensor of a batch costs more than the arithmetic.
        return images.float().div_(255).sub_(shift).div_(scale)


@final
@dataclass(frozen=True, eq=False)
class Data:
    """A data set in three splits, for one task. `validation` serves the search; `test` is looked at once, at the end,
    by whoever reports. `preprocessing` says how the pictures became these images, `notes` what a user should know of
    how the data set was read, and `category_ids` by which numbers the files of annotated pictures call the classes.
    """

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    channels: int
    image_size: ImageSize
    name: str
    task: Task
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()
    category_ids: tuple[int, ...] = ()

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


@final
@dataclass(frozen=True, eq=False)
class NamedSplit:
    """One split of a data set by itself. `names` gives what each image is called: its file, or where it is in one; None
    for one that could not be read, in whose place the next one stands. Of a split that is not held this is known when
    it was looked at.
    """

    split: Split
    names: Callable[[], list[str | None]]
    class_names: tuple[str, ...]
    channels: int
    name: str
    task: Task
    notes: tuple[str, ...] = ()
    category_ids: tuple[int, ...] = ()
