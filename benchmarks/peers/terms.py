"""What all peers get alike: images, a model, the most MACs, processor seconds, and the last training."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.data import Data, DataSpec, load_data
from nas.evaluation import evaluate
from nas.searchspaces import SearchSpace
from nas.supernets import build
from nas.training import FitCall, PlainStep, Recipe, Runtime, fit

SPACE = "searchspaces/vit_digits.yaml"
SIZE, SHARE = 8, 0.5
"""Pixels of an image, and the part of the whole model's MACs that a winner may have."""
FRESH_LR, TRAINED_LR = 3e-3, 2e-3
"""Peak learning rates for a model that is new, and for one that was trained before: those of `studies/digits.yaml`."""


class UnsuitedError(Exception):
    """A peer that cannot take part, and why."""


@final
@dataclass(frozen=True)
class Terms:
    """Of one peer and one seed. `seconds` of processor time are for all that it does: training, searching, training
    what it found. They begin with `start`, when packages are loaded and images are read.
    """

    seed: int
    seconds: float
    start: float

    @cached_property
    def data(self) -> Data:
        """The digits; peers search on the validation split, and never look at the test split."""
        return load_data(DataSpec(name="digits"), image_size=SIZE, seed=self.seed)

    @cached_property
    def space(self) -> SearchSpace:
        """The search space of `studies/digits.yaml`."""
        return SearchSpace.from_yaml(SPACE)

    @property
    def limit(self) -> int:
        """Most MACs of a winner."""
        return int(SHARE * macs(self.model()))

    @property
    def left(self) -> float:
        """Processor seconds that are not spent."""
        return self.seconds - (time.process_time() - self.start)

    def model(self, **changes: Any) -> nn.Module:
        """The whole model, new, or one with other sizes."""
        torch.manual_seed(self.seed)
        return build(self.space.model, {**self.space.model_args, **changes})

    def train(self, model: nn.Module, seconds: float, lr: float) -> None:
        """Trains for as many epochs as fit into the seconds, of which one, on a copy, shows how long they take."""
        spent = time.process_time()
        self._fit(copy.deepcopy(model), 1, lr)
        each = time.process_time() - spent
        self._fit(model, max(1, int((seconds - each) / each)), lr)

    def epoch(self) -> float:
        """Processor seconds of an epoch of the whole model."""
        spent = time.process_time()
        self._fit(self.model(), 1, FRESH_LR)
        return time.process_time() - spent

    def accuracy(self, model: nn.Module) -> float:
        """On the validation split."""
        return evaluate(model, self.data.validation, self.data.task).metrics["accuracy"]

    def _fit(self, model: nn.Module, epochs: int, lr: float) -> None:
        recipe = Recipe(epochs=epochs, lr=lr, warmup=min(5, epochs / 10))
        fit(FitCall(model, PlainStep(), self.data, recipe, self.seed), Runtime(progress=False))


def macs(model: nn.Module) -> int:
    """Of one image, as torch counts them."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 1, SIZE, SIZE))
    return counter.get_total_flops() // 2
