"""Whether a GPU computes in float32 what it should: extracted = supernet, masked = sliced, and the processor's numbers.

Values are the greatest difference of two outputs over the greatest output.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.gpu.machine import Machine, exact
from benchmarks.gpu.models import Case, freed
from nas.searchspaces import Architecture, Limit
from nas.supernets import Supernet

IMAGES = 16
BOUND = 1e-4
"""The most that other kernels, which sum in another order, can explain in float32."""
RATE = 0.1
"""Of the step of SGD: large, so that another gradient is another output."""


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    for case in freed(machine):
        with exact():
            for what, value in _differences(case, machine):
                yield {"what": f"{case.name}: {what}", "unit": "of the output", "value": value, "bound": BOUND}
        half = _bfloat16(case, machine)
        yield {"what": f"{case.name}: bfloat16 against float32", "unit": "of the output", "value": half}


def _differences(case: Case, machine: Machine) -> Iterator[tuple[str, float]]:
    net = case.supernet(machine.device).eval()
    architecture = halved(net)
    images, targets = case.images(IMAGES, machine.device)
    extracted = net.extract(architecture).eval()
    with torch.no_grad():
        shared, own = net(images, architecture), extracted(images)
        yield "extracted against supernet", difference(own, shared)
        yield "masked against sliced", difference(net.relaxed(images, masks(net, architecture)), shared)
        truth = copy.deepcopy(extracted).cpu().double()(images.cpu().double())
        yield "this device against float64 on the processor", difference(own.cpu().double(), truth)
    _descend(net, net.subnet(architecture)(images), targets)
    _descend(extracted, extracted(images), targets)
    with torch.no_grad():
        after = difference(extracted(images), net(images, architecture))
        assert difference(own, extracted(images)) > BOUND, "a step that changes nothing shows nothing"
        yield "extracted against supernet after a step of SGD", after


def _descend(module: nn.Module, outputs: Tensor, targets: Tensor) -> None:
    optimiser = torch.optim.SGD(module.parameters(), lr=RATE)
    functional.cross_entropy(outputs, targets).backward()
    optimiser.step()


def _bfloat16(case: Case, machine: Machine) -> float:
    net = case.supernet(machine.device).eval()
    images, _ = case.images(IMAGES, machine.device)
    with torch.no_grad():
        whole = net.model(images)
        with torch.autocast(machine.device.type, dtype=torch.bfloat16):
            return difference(net.model(images).float(), whole)


def halved(net: Supernet) -> Architecture:
    """The architecture nearest to the whole one within half the MACs."""
    return net.space.nearest(net.space.largest, Limit(net.cost, macs="50%"))


def masks(net: Supernet, architecture: Architecture) -> dict[str, Tensor]:
    """Axis -> 1 for the units that an architecture keeps, 0 for the others (float, units)."""
    device = next(net.parameters()).device
    sizes, units = net.space.sizes(architecture), net.table.frame.axes
    return {axis: (torch.arange(units[axis], device=device) < sizes[axis]).float() for axis in sizes}


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())
