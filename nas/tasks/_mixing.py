"""Mixup and CutMix of classes through timm, made a function of the seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from timm.data.mixup import Mixup
from torch import Tensor

from nas.tasks._base import Mixing
from nas.tasks._batch import Batch


@final
class ClassMixer:
    """Mixes inputs and their classes. Smoothing is left to the criterion, which treats mixed and hard targets alike."""

    def __init__(self, mixing: Mixing, classes: int) -> None:
        self._mixup = Mixup(  # type: ignore[no-untyped-call]
            mixup_alpha=mixing.mixup,
            cutmix_alpha=mixing.cutmix,
            prob=mixing.prob,
            switch_prob=mixing.switch_prob,
            mode=mixing.mode,
            label_smoothing=0.0,
            num_classes=classes,
        )

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """Mixed images and soft targets (B x K). Mixup pairs images, so the last one of an odd batch stays as it is."""
        images, labels = batch.inputs, batch.targets
        assert isinstance(labels, Tensor)
        even = len(labels) - len(labels) % 2
        targets = torch.nn.functional.one_hot(labels, self._mixup.num_classes).to(images.dtype)
        if even == 0:
            return Batch(images, targets)
        with _numpy_seed(seed):
            mixed, soft = self._mixup(images[:even].clone(), labels[:even])
        return Batch(torch.cat([mixed, images[even:]]), torch.cat([soft, targets[even:]]))


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Seeds numpy's global generator, which timm draws from, for one batch, and leaves it as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
