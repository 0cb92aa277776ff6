"""An epoch of supernet training on two Ray workers of one thread each, against the same epoch in this process, of one
thread: DeiT-Ti, and a small ViT, whose steps take some milliseconds, so that one sees what summing gradients costs.

The seconds are those of `History`: starting workers is not in them, and is a row of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import timm
import torch

from benchmarks.models import FOLDER
from benchmarks.pairs import compared
from nas.data import Data, HeldSplit
from nas.preprocessing import Preprocessing
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.system.cluster import Cluster, connected
from nas.tasks.classification import Classification
from nas.training import FitCall, Recipe, Runtime, fit
from nas.training.parallel.ray_train import OnRay
from nas.training.rules import find

PAIRS = 3
EPOCHS = 3
"""The first of each training warms up, and is not counted."""


@dataclass(frozen=True)
class Case:
    """A supernet and random images for it."""

    name: str
    space: str
    channels: int
    size: int
    images: int
    batch: int


CASES = (
    Case("DeiT-Ti", "deit_tiny.yaml", 3, 224, 32, 16),
    Case("ViT of the digits", "vit_digits.yaml", 1, 8, 1024, 32),
)


def measure() -> Iterator[dict[str, object]]:
    starts = []
    with connected(Cluster(), 2):
        for case in CASES:
            pairs = []
            for _ in range(PAIRS):
                there, start = _epoch(case, 2)
                pairs.append((there, _epoch(case, 1)[0]))
                starts.append(start)
            found = compared(pairs)
            what = f"an epoch with 2 workers of one thread / with 1, sandwich, batch {case.batch}, {case.name}"
            yield {"what": what, "unit": "", "value": found["ratio"], **found}
    yield {"what": "start of two workers for a training", "unit": "s", "value": round(float(np.median(starts)), 1)}


def _epoch(case: Case, workers: int) -> tuple[float, float]:
    """Median seconds of an epoch, and the seconds that the training took beside its epochs."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.images, case.channels, case.size, case.size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    by = Preprocessing(mean=(0.5,) * case.channels, std=(0.25,) * case.channels)
    split = HeldSplit(images, torch.arange(case.images) % 10, by)
    names = tuple(map(str, range(10)))
    data = Data(split, split, split, names, case.channels, case.size, "random", Classification(), by)
    space = SearchSpace.from_yaml(FOLDER / case.space)
    torch.manual_seed(0)
    net = Supernet(timm.create_model(space.model, **space.model_args), space)
    trainer = fit if workers == 1 else OnRay(workers, Cluster())
    recipe, runtime = Recipe(epochs=EPOCHS, batch=case.batch, lr=1e-4), Runtime(progress=False)
    start = time.perf_counter()
    history = trainer(FitCall(net, find("sandwich")().step(space), data, recipe, 0), runtime)
    taken = time.perf_counter() - start
    return float(np.median([row.seconds for row in history][1:])), taken - history.seconds
