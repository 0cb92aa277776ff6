"""How long a block learns after it has gained tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, final

from nas.data.transforms import AugmentOptions
from nas.documents.conditions import ReadWith
from nas.numbers import BatchSize, Count, EpochCount, Epochs, Rate, Unit
from nas.training import Recipe


@final
@dataclass(frozen=True)
class Tuning(Recipe):
    """How a block learns after each growth, on the inputs that the calibration images give it.

    epochs   passes over as many inputs as there are training images: the paper's three. The calibration images are
             fewer, and are seen again as often as that takes
    steps    most optimiser steps, whatever `epochs` says: three passes over a million images are no matter of one block
    """

    epochs: EpochCount = 3
    lr: Rate = 1e-4
    batch: BatchSize = 64
    warmup: Epochs = 0
    # A block learns what the original one made of the same inputs: there are no targets, and no pictures to augment.
    smoothing: Annotated[float, ReadWith()] = 0.0
    mixup: Annotated[float, ReadWith()] = 0.0
    cutmix: Annotated[float, ReadWith()] = 0.0
    augment: Annotated[AugmentOptions, ReadWith()] = "none"
    # Single blocks run here: no images come in, and no model whose switches these are.
    grad_checkpointing: Annotated[bool, ReadWith()] = False
    channels_last: Annotated[bool, ReadWith()] = False
    torchcompile: Annotated[bool, ReadWith()] = False
    sync_bn: Annotated[bool, ReadWith()] = False
    steps: Annotated[Count, Unit("steps")] = 500

    def passes(self, calibration: int, training: int) -> int:
        """Passes over so many calibration images that come nearest to what `epochs` and `steps` ask for with so many
        training images, rounded up.
        """
        images = self.batch * self.accumulate
        asked = min(self.steps, self.epochs * math.ceil(training / images))
        return math.ceil(asked / math.ceil(calibration / images))
