"""Images per second in bfloat16, peak memory, and a training step through a supernet over the extracted model's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.gpu.exactness import halved
from benchmarks.gpu.machine import Machine
from benchmarks.gpu.models import Case, freed, step
from nas.training.precision import Precision

CALLS = 5
"""Steps that are timed together: the processor may then be ahead of the GPU, as it is in a training."""


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    for case in freed(machine):
        yield from _throughput(case, machine)
        yield from _ratios(case, machine)


def _throughput(case: Case, machine: Machine) -> Iterator[dict[str, Any]]:
    net, precision = case.supernet(machine.device), bfloat16(machine)
    images, targets = case.images(case.batch, machine.device)
    model, of = net.model, f"{case.name}, bfloat16, batch {case.batch}"

    @torch.no_grad()
    def forward() -> None:
        with precision.autocast():
            model(images)

    model.eval()
    yield {
        "what": f"forward, {of}",
        "unit": "images/s",
        **machine.rate(_several(forward, machine), case.batch * calls(machine)),
    }
    model.train()
    train = step(model, model, precision)
    rate = machine.rate(_several(lambda: train(images, targets), machine), case.batch * calls(machine))
    yield {"what": f"training, {of}", "unit": "images/s", **rate}
    if peak := machine.peak(lambda: train(images, targets)):
        yield {"what": f"peak memory of a training step, {of}", "unit": "MiB", "value": peak.whole}


def _ratios(case: Case, machine: Machine) -> Iterator[dict[str, Any]]:
    net, precision = case.supernet(machine.device).train(), bfloat16(machine)
    images, targets = case.images(case.batch, machine.device)
    for what, architecture in (("whole", net.space.largest), ("half the MACs", halved(net))):
        extracted = net.extract(architecture).train()
        through = step(lambda x, a=architecture: net(x, a), net, precision)
        alone = step(extracted, extracted, precision)
        pair = [_several(lambda run=run: run(images, targets), machine) for run in (through, alone)]
        yield {
            "what": f"a step of the supernet over the extracted model's, {what}, {case.name}, bfloat16",
            "unit": "ratio",
            **machine.ratio(*pair),
        }
        peaks = [machine.peak(lambda run=run: run(images, targets)) for run in (through, alone)]
        if peaks[0] and peaks[1]:
            memory = {"what": f"memory that these two take for a step, {what}, {case.name}", "unit": "ratio"}
            yield {**memory, "value": peaks[0].own / peaks[1].own}


def bfloat16(machine: Machine) -> Precision:
    """As a recipe's `amp: bfloat16`."""
    return Precision("bfloat16", machine.device)


def calls(machine: Machine) -> int:
    """Steps that are timed together."""
    return 1 if machine.small else CALLS


def _several(call: Callable[[], object], machine: Machine) -> Callable[[], None]:
    def run() -> None:
        for _ in range(calls(machine)):
            call()

    return run
