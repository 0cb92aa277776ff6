"""What an augmentation is, and those that vary a whole batch of tensors at once: none, crop, crop+flip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, final

import torch
from PIL.Image import Image
from torch import Tensor
from typing_extensions import override

from nas.data.augment import crop, flip
from nas.data.transforms.evaluation import evaluation
from nas.preprocessing import Preprocessing
from nas.tasks import Mixing


class Transform(Protocol):
    """Makes a picture of any size (grey or RGB) into a training image, C x size x size, by a seed of its own: the same
    seed gives the same pixels, wherever and after whatever it is called.

    Workers shall be processes, no threads: timm draws from generators that all threads of a process share.
    """

    @property
    def normalises(self) -> bool:
        """Whether the image is float32 and normalised; else it is uint8, and still to be normalised."""
        ...

    def __call__(self, picture: Image, seed: int) -> Tensor:
        """The training image."""
        ...


@dataclass(frozen=True, kw_only=True)
class Augmentation(ABC):
    """How pictures are varied for training. Subclasses are frozen dataclasses: their fields are options in YAML."""

    @abstractmethod
    def transform(self, size: int, preprocessing: Preprocessing) -> Transform:
        """What varies one picture, for images of `size` pixels."""

    @property
    def mixing(self) -> Mixing | None:
        """How it mixes the images of a batch; None where the recipe says that."""
        return None

    @property
    def repeats(self) -> int:
        """How often a picture comes in a row, each time varied anew."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Batchwise(Augmentation):
    """Images are prepared as for evaluation, and then varied as tensors."""

    @abstractmethod
    def batch(self, images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """The images (uint8), each varied in its own way."""

    @override
    def transform(self, size: int, preprocessing: Preprocessing) -> Transform:
        return _One(self, size, preprocessing)


@final
@dataclass(frozen=True, kw_only=True)
class Unchanged(Batchwise):
    """`none`: as they are."""

    @override
    def batch(self, images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return images_BCHW


UNCHANGED = Unchanged()


@final
@dataclass(frozen=True, kw_only=True)
class Crop(Batchwise):
    """`crop`: each image is shifted at random, by at most an eighth of it; black comes in."""

    @override
    def batch(self, images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return crop(images_BCHW, generator)


@final
@dataclass(frozen=True, kw_only=True)
class CropAndFlip(Batchwise):
    """`crop+flip`: shifted, and mirrored left to right or not. It is nothing for digits and letters."""

    @override
    def batch(self, images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        return flip(crop(images_BCHW, generator), generator)


@final
class _One:
    """One picture as a batch of one."""

    normalises = False

    def __init__(self, augmentation: Batchwise, size: int, preprocessing: Preprocessing) -> None:
        self._augmentation, self._evaluation = augmentation, evaluation(size, preprocessing)

    def __call__(self, picture: Image, seed: int) -> Tensor:
        image_CHW = self._evaluation(picture)
        return self._augmentation.batch(image_CHW[None], torch.Generator().manual_seed(seed))[0]
