"""Memory of sub-networks on a GPU against what a study bounds: that is what torch's allocator gives out on a processor,
and a GPU's kernels need other buffers.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.machine import Machine, exact
from benchmarks.gpu.models import Case, freed
from nas.footprint.memory import memory_of
from nas.supernets.of_space import image_of

ARCHITECTURES = 10
IMAGES = 32


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    if machine.device.type != "cuda":
        return
    for case in freed(machine):
        with exact(), torch.inference_mode():
            ratios = list(_ratios(case, machine))
        yield {
            "what": f"{case.name}, float32, batch {IMAGES}: memory of a pass over what is bounded",
            "unit": f"ratio, of {ARCHITECTURES} random sub-networks",
            "value": statistics.median(ratios),
            "least": min(ratios),
            "greatest": max(ratios),
        }


def _ratios(case: Case, machine: Machine) -> Iterator[float]:
    supernet = case.supernet(torch.device("cpu")).eval()
    space, rng = supernet.space, np.random.default_rng(0)
    bounded = memory_of(space, IMAGES).additive
    for architecture in (space.sample(rng) for _ in range(ARCHITECTURES)):
        model = supernet.extract(architecture).eval()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        model.to(machine.device)
        images = torch.randn(IMAGES, *image_of(space), device=machine.device)
        model(images)  # a library's own buffers, which stay
        del images
        held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
        beside = torch.cuda.memory_allocated() - before - held
        torch.cuda.reset_peak_memory_stats()
        images = torch.randn(IMAGES, *image_of(space), device=machine.device)
        model(images)
        torch.cuda.synchronize()
        given = torch.cuda.max_memory_allocated() - before - beside
        yield given / int(bounded(space.as_table(architecture))[0])
        del model, images
