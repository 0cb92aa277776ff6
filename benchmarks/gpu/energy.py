"""Joules of passes by the GPU's own meter: how often it moves, whether they are the same when they are metered again,
and what whole and half of a model take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.gpu.exactness import halved
from benchmarks.gpu.latency import BATCH, device_of
from benchmarks.gpu.machine import Machine
from benchmarks.gpu.models import Case, freed
from nas.errors import LatencyError
from nas.latency.passes import Passes
from nas.supernets.of_space import image_of

WATCHED = 1.0
"""Seconds."""


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    device = device_of(machine)
    try:
        meter = device.meter()
    except LatencyError as refusal:
        yield {"what": f"refused: {refusal}", "unit": "", "value": None}
        return
    yield {"what": "moves of the meter in a second of rest", "unit": "1/s", "value": _moves(meter)}
    for case in freed(machine):
        yield from _of_case(case, machine)


def _moves(meter: Callable[[], float]) -> float:
    start, last, moves = time.perf_counter(), meter(), 0
    while time.perf_counter() - start < WATCHED:
        if (now := meter()) != last:
            last, moves = now, moves + 1
    return moves / WATCHED


@torch.inference_mode()
def _of_case(case: Case, machine: Machine) -> Iterator[dict[str, Any]]:
    supernet, device = case.supernet(torch.device("cpu")).eval(), device_of(machine)
    images = torch.randn(device.batch, *image_of(supernet.space))
    passes = Passes(supernet, device, images, energy=True)
    architectures = [supernet.space.largest, halved(supernet)]
    first, again = (passes.timed([], architectures, 0.0).whole for _ in range(2))
    for what, one, two in zip(("the whole model", "half of its MACs"), first, again, strict=True):
        joules = sorted(each.milliseconds / 1e3 for each in (one, two))
        yield {
            "what": f"energy of {case.name} in bfloat16, batch {BATCH}: {what}, metered twice",
            "unit": "J",
            "value": sum(joules) / 2,
            "least": joules[0],
            "greatest": joules[1],
        }
    share = first[1].milliseconds / first[0].milliseconds
    yield {"what": f"energy of {case.name}: half of its MACs over the whole model", "unit": "ratio", "value": share}
