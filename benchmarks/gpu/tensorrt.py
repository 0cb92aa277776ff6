"""TensorRT, where it is installed: whether its engines say what torch says, how long one takes to build, and what whole
and half of a model take beside eager torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.exactness import BOUND, IMAGES, difference, halved
from benchmarks.gpu.latency import BATCH
from benchmarks.gpu.machine import Machine
from benchmarks.gpu.models import Case, freed
from nas.errors import LatencyError
from nas.latency.devices import Device
from nas.latency.devices.cuda_torch import CudaTorch
from nas.latency.devices.tensorrt import TensorRt
from nas.latency.timing import Forward
from nas.searchspaces import Architecture
from nas.supernets import Supernet

SECONDS = 5.0
"""For which passes take turns, about."""


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    try:
        TensorRt().check()
    except LatencyError as refusal:
        yield {"what": f"left out: {refusal}", "unit": "", "value": None}
        return
    for case in freed(machine):
        supernet = case.supernet(torch.device("cpu")).eval()
        yield from _built(case, supernet)
        yield from _timed(case, supernet)


@torch.inference_mode()
def _built(case: Case, supernet: Supernet) -> Iterator[dict[str, Any]]:
    device, (images, _) = TensorRt(batch=IMAGES), case.images(IMAGES, torch.device("cpu"))
    one = _pass(device, supernet, halved(supernet), images)
    (model,) = one.steps
    wanted = model(images)
    with torch.cuda.stream(device.stream()):
        start = time.perf_counter()
        (engine,) = device.ready([one])
        took = time.perf_counter() - start
        (run,) = engine.steps
        found = run(engine.inputs).cpu()
    where = f"{case.name}, half the MACs, float32, batch {IMAGES}"
    yield {"what": f"an engine of {where}: to write the file, and to build", "unit": "s", "value": took}
    against = f"{where}: TensorRT against torch on the processor"
    yield {"what": against, "unit": "of the output", "value": difference(found, wanted), "bound": BOUND}


@torch.inference_mode()
def _timed(case: Case, supernet: Supernet) -> Iterator[dict[str, Any]]:
    images, _ = case.images(BATCH, torch.device("cpu"))
    devices: dict[str, Device] = {
        "TensorRT": TensorRt(batch=BATCH, precision="float16"),
        "eager torch": CudaTorch(batch=BATCH, precision="float16"),
    }
    times: dict[str, list[float]] = {}
    for name, device in devices.items():
        passes = [_pass(device, supernet, one, images) for one in (supernet.space.largest, halved(supernet))]
        times[name] = [step.milliseconds for (step,) in device.time(passes, SECONDS)]
    where = f"{case.name}, float16, batch {BATCH}"
    for number, share in enumerate(("whole", "half the MACs")):
        engine, eager = times["TensorRT"][number], times["eager torch"][number]
        yield {"what": f"a pass by TensorRT, {where}, {share}", "unit": "ms", "value": engine}
        yield {
            "what": f"a pass by TensorRT over eager torch's, {where}, {share}",
            "unit": "ratio",
            "value": engine / eager,
        }


def _pass(device: Device, supernet: Supernet, architecture: Architecture, images: Tensor) -> Forward:
    model = device.prepared(supernet.extract(architecture).eval())
    return Forward(device.images(images), (model,), architecture.digest)
