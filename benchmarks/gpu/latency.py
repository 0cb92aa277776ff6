"""Latency as `nas bench` predicts it on a GPU against that of sub-networks that it has not seen, and what is drawn just
within a limit of 70 %: as `benchmarks/latency.py` on a processor.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu.machine import Machine
from benchmarks.gpu.models import freed
from benchmarks.latency import of_limit, of_prediction
from nas.errors import LimitError
from nas.latency.building import measured_table
from nas.latency.devices import Device
from nas.latency.devices.cpu_torch import CpuTorch
from nas.latency.devices.cuda_torch import CudaTorch
from nas.supernets.of_space import image_of

BATCH = 64
"""Of one image alone, a GPU's time is that of giving it its work, whatever the widths are."""


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    subnets, seconds = (3, 0.0) if machine.small else (24, 10.0)
    for case in freed(machine):
        supernet, device = case.supernet(torch.device("cpu")).eval(), device_of(machine)
        start = time.perf_counter()
        measured = measured_table(supernet, image_of(supernet.space), device, check=subnets, seconds=seconds)
        took = time.perf_counter() - start
        where = f"latency of {case.name} in bfloat16, batch {device.batch}"
        yield {"what": f"{where}: seconds that its table took", "unit": "s", "value": took}
        yield from of_prediction(f"{where}, {subnets} random sub-networks", measured.prediction)
        yield from of_prediction(f"{where}, {subnets} from the smallest to the largest", measured.even)
        try:
            yield of_limit(where, supernet, device, measured, subnets // 2 + 1, seconds / 2)
        except LimitError as refusal:
            yield {"what": f"{where}: {refusal}", "unit": "", "value": None}


def device_of(machine: Machine) -> Device:
    """What the models run on."""
    if machine.device.type == "cuda":
        return CudaTorch(batch=BATCH, precision="bfloat16")
    return CpuTorch(threads=1, batch=2)
