"""Mixup and CutMix through timm, made a function of the seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from timm.data.mixup import Mixup
from torch import Tensor

from nas.training.recipe import Recipe


def mixer(recipe: Recipe, classes: int) -> Mixup | None:
    """Builds timm's Mixup for this recipe, None when it mixes nothing.

    Smoothing is left to the criterion, which treats mixed and hard targets alike.
    """
    if not (recipe.mixup or recipe.cutmix):
        return None
    return Mixup(  # type: ignore[no-untyped-call]
        mixup_alpha=recipe.mixup, cutmix_alpha=recipe.cutmix, label_smoothing=0.0, num_classes=classes
    )


def mix(mixup: Mixup, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Mixed images and soft targets (B x K). Mixup pairs images, so the last one of an odd batch stays as it is."""
    even = len(labels) - len(labels) % 2
    targets = torch.nn.functional.one_hot(labels, mixup.num_classes).to(images.dtype)
    if even == 0:
        return images, targets
    with _numpy_seed(seed):
        mixed, soft = mixup(images[:even].clone(), labels[:even])
    return torch.cat([mixed, images[even:]]), torch.cat([soft, targets[even:]])


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Seeds numpy's global generator, which timm draws from, for this batch, then leave it as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
