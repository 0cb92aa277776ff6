"""Augmentations that vary pictures together with what is annotated in them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from nas.data.transforms.augmentation import UNCHANGED, Augmentation, Transform
from nas.errors import TrainingError
from nas.preprocessing import Preprocessing
from nas.tasks import Annotations, Batch

ALLOWED = "annotated, or none"


@dataclass(frozen=True, kw_only=True)
class Together(Augmentation):
    """Pictures are put into their letterboxes, and then varied with their annotations."""

    @property
    def company(self) -> int:
        """How many other pictures go into one."""
        return 0

    @abstractmethod
    def together(self, pictures: Batch, seed: int) -> Batch:
        """The first picture (uint8), varied by its seed alone, with those behind it at hand: a batch of one."""

    @override
    def transform(self, size: int, preprocessing: Preprocessing) -> Transform:
        raise TrainingError("augment: found annotated; the pictures have classes; allowed: none, crop, crop+flip, timm")

    def companions(self, seed: int, count: int) -> list[int]:
        """Which others of `count` pictures go into the one of a seed."""
        return np.random.default_rng(seed).integers(0, count, self.company).tolist() if self.company else []


def check(augment: Augmentation, targets: object) -> None:
    """Raises `TrainingError` where annotated pictures are to be varied without their annotations."""
    if isinstance(targets, Annotations) and augment != UNCHANGED and not isinstance(augment, Together):
        found = type(augment).__name__
        raise TrainingError(f"augment: found {found}; boxes would stay where they were; allowed: {ALLOWED}")
