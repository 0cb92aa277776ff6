"""What a recipe's switches change, in the toolkit's own loop: checkpointing of activations, the layout of filters,
float16, torch.compile. Seconds are those of the last epoch over the same without the switch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu.machine import Machine, Peak
from benchmarks.gpu.models import Case, cases
from nas.data import Data, HeldSplit
from nas.errors import TrainingError
from nas.preprocessing import Preprocessing
from nas.tasks.classification import Classification
from nas.training import FitCall, PlainStep, Recipe, Runtime, fit
from nas.training.rules import find

SWITCHES: dict[str, dict[str, Any]] = {
    "grad_checkpointing": {"grad_checkpointing": True},
    "channels_last": {"channels_last": True},
    "amp: float16": {"amp": "float16"},
    "torchcompile": {"torchcompile": True},
}
EPOCHS = 3
"""The first one warms up; torch.compile works in it."""


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    first = cases(machine)[0]
    for case in (first,) if machine.small else cases(machine):
        data, plain = pictures(case, machine), Recipe(epochs=EPOCHS, batch=case.batch, lr=1e-4, warmup=0)
        for kind in ("model", "supernet"):
            before = trained(case, machine, data, plain, kind)
            for name, options in SWITCHES.items():
                if name == "torchcompile" and (kind == "supernet" or case is not first or machine.small):
                    continue  # no supernet is compiled, and the compiler takes longer than all the rest
                try:
                    seconds, peak = trained(case, machine, data, replace(plain, **options), kind)
                except TrainingError as fault:
                    yield {"what": f"{name}, {case.name}, {kind}: refused: {fault}", "unit": "", "value": None}
                    continue
                yield {"what": f"{name}, {case.name}, {kind}: time", "unit": "ratio", "value": seconds / before[0]}
                if peak and before[1]:
                    memory = {"what": f"{name}, {case.name}, {kind}: memory of the training", "unit": "ratio"}
                    yield {**memory, "value": peak.own / before[1].own}


def pictures(case: Case, machine: Machine) -> Data:
    """Random images, held: two batches on a small machine, four on a GPU."""
    count, generator = case.batch * (2 if machine.small else 4), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, case.size, case.size), dtype=torch.uint8, generator=generator)
    by = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)
    split = HeldSplit(pixels, torch.arange(count) % 10, by)
    return Data(split, split, split, tuple("0123456789"), 3, case.size, "random", Classification(), by)


def trained(case: Case, machine: Machine, data: Data, recipe: Recipe, kind: str) -> tuple[float, Peak | None]:
    """Seconds of the last epoch, and the memory of a whole training."""
    net = case.supernet(machine.device)
    module, step = (net.model, PlainStep()) if kind == "model" else (net, find("sandwich")().step(net.space))
    runtime = Runtime(device=machine.device, progress=False)
    seconds: list[float] = []

    def train() -> None:
        seconds.append(fit(FitCall(module, step, data, recipe, 0), runtime)[-1].seconds)

    if machine.device.type != "cuda":
        train()
        return seconds[-1], None
    peak = machine.peak(train)
    return min(seconds), peak
