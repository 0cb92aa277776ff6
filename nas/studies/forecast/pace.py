"""How long a picture takes in a training step, and where a model is measured: from a few steps, as a run does them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.data import Data
from nas.evaluation import evaluate
from nas.studies.forecast.pictures import FewPictures
from nas.tasks import Outputs, Task
from nas.training import FitCall, Recipe, Runtime, Step, fit

FIRST, GROWTH = 2, 4
"""Pictures of the first step that is timed, and how many times as many the next one has."""
ENOUGH = 0.4
"""Seconds that are timed well enough."""
AGAIN = 2
"""How often, after a first time that warms up; the quickest is taken, since others use the machine, too."""


def training(module: nn.Module, step: Step, few: FewPictures, recipe: Recipe, device: torch.device) -> float:
    """Seconds that a picture takes while `module` learns by a recipe; the module is spoilt."""
    most = min(recipe.batch, len(few.few))
    # What a step costs does not depend on its rate; fresh weights must not run away.
    short = replace(recipe, epochs=1 + AGAIN, warmup=0, lr=1e-6, lr_base_size=None, schedule="constant", accumulate=1,
                    torchcompile=False)  # fmt: skip

    def seconds(data: Data) -> float:
        call = FitCall(module, step, data, replace(short, batch=len(data.train)), 0)
        history = fit(call, Runtime(device=device, progress=False, title="a timed step"))
        return min(epoch.seconds for epoch in list(history)[1:])

    return _grown(few, most, seconds)


def measuring(
    model: Callable[[Tensor], Outputs], few: FewPictures, task: Task, batch: int, device: torch.device
) -> float:
    """Seconds that a picture takes where a model is measured."""

    def seconds(data: Data) -> float:
        evaluate(model, data.train, task, device=device, batch=batch)
        return min(once(data) for _ in range(AGAIN))

    def once(data: Data) -> float:
        started = time.perf_counter()
        evaluate(model, data.train, task, device=device, batch=batch)
        return time.perf_counter() - started

    return _grown(few, min(batch, len(few.few)), seconds)


def _grown(few: FewPictures, most: int, seconds: Callable[[Data], float]) -> float:
    """Seconds for each picture of what takes `seconds`, with so many pictures that it takes long enough."""
    count = min(FIRST, most)
    while True:
        taken = seconds(few.pictures(count))
        if taken >= ENOUGH or count >= most:
            return taken / count
        count = min(GROWTH * count, most)
