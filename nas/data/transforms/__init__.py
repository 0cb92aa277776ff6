"""From pictures to the images of training and of evaluation."""

from __future__ import annotations

from functools import cache

from nas.data.transforms.augmentation import UNCHANGED, Augmentation, Batchwise, Crop, CropAndFlip, Transform
from nas.data.transforms.evaluation import evaluation
from nas.data.transforms.held import varied
from nas.data.transforms.options import AUGMENTATION, AugmentOptions, augmentation_of, presets
from nas.data.transforms.seeded import generators_kept
from nas.data.transforms.together import Together, check
from nas.data.transforms.with_timm import WithTimm
from nas.preprocessing import Preprocessing

__all__ = [
    "AUGMENTATION",
    "UNCHANGED",
    "AugmentOptions",
    "Augmentation",
    "Batchwise",
    "Crop",
    "CropAndFlip",
    "Together",
    "Transform",
    "WithTimm",
    "augmentation_of",
    "check",
    "evaluation",
    "generators_kept",
    "presets",
    "training",
    "varied",
]


@cache  # every batch asks for it
def training(augment: Augmentation, size: int, preprocessing: Preprocessing) -> Transform:
    """What makes a picture an image to train on, varied by the picture's own seed; see `Transform`."""
    return augment.transform(size, preprocessing)
