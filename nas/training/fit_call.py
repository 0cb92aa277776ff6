"""A call of `fit` as one value: everything that decides what is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from nas.data.split import Trainable
from nas.training.recipe import Recipe
from nas.training.step import Step


@final
@dataclass(frozen=True, eq=False)
class FitCall:
    """What is trained, and how; where it happens is the matter of `Runtime`.

    module   trained in place
    step     what is minimised
    data     trained on its split `train`
    recipe   epochs, learning rate, batches ...
    seed     all randomness follows from it, by epoch and step
    """

    module: nn.Module
    step: Step
    data: Trainable
    recipe: Recipe
    seed: int
