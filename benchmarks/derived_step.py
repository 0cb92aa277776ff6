"""Captured models: what it takes to specialise the graph of one of twelve blocks for another architecture (the aim is
10 ms), and a training step of the specialised graph over the extracted model's own, on 32 images of 128 x 128 pixels
(the aim is 1.15). Processor time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.pairs import ratio, seconds
from benchmarks.training_step import step
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import DEPTH, is_rank
from nas.supernets import Supernet
from nas.supernets.derived.sources import captured_by
from nas.supernets.timm_models import outline_of

BATCH, PAIRS, ARCHITECTURES, SIDE = 32, 7, 50, 128
MODELS: dict[str, dict[str, Any]] = {
    "timm/vit_tiny_patch16_224": {"img_size": SIDE},
    "timm/convnext_atto": {"img_size": SIDE},
    "timm/caformer_s18": {"img_size": SIDE},
    "torchvision/VisionTransformer": {
        "image_size": SIDE, "patch_size": 16, "num_layers": 12, "num_heads": 3, "hidden_dim": 192, "mlp_dim": 768,
    },
}  # fmt: skip
"""Of twelve blocks, but for the CAFormer, which has eighteen."""


def measure() -> Iterator[dict[str, object]]:
    for name, args in MODELS.items():
        net = supernet(name, args).train()
        yield {"what": f"{name}: another architecture", "unit": "ms of processor time", **specialising(net)}
        images, targets = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(1000, (BATCH,))
        architectures = {"largest": net.space.largest, "random": net.space.sample(np.random.default_rng(0))}
        for what, architecture in architectures.items():
            own = net.extract(architecture).train()
            shared = step(lambda x, a=architecture, net=net: net(x, a), net, images, targets)
            alone = step(own, own, images, targets)
            unit = "specialised graph's step / extracted model's step, processor time"
            yield {"what": f"{name} {what}", "unit": unit, **ratio(shared, alone, PAIRS, time.process_time)}


def supernet(name: str, args: dict[str, Any]) -> Supernet:
    """Every axis of a captured model may have half of its units, and every stage half of its blocks."""
    model: nn.Module = captured_by(name, args)
    outline = outline_of(model, name)
    kinds = [kind for kind in outline.dimensions if not is_rank(kind)]
    lines = [f"  {kind}: {{{'depth' if kind == DEPTH else 'size'}: [0.5, 1.0]}}" for kind in kinds]
    return Supernet(
        model, SearchSpace.from_yaml("\n".join([f"model: {name}", "choices:", *lines, ""]), outline=outline)
    )


def specialising(net: Supernet) -> dict[str, object]:
    """Median, least and greatest of random architectures, each of which the supernet has not seen."""
    rng = np.random.default_rng(0)
    drawn = [net.space.sample(rng) for _ in range(ARCHITECTURES + 1)]
    net(torch.zeros(2, 3, SIDE, SIDE), drawn.pop())  # its graph is captured
    times = 1000 * np.array([seconds(lambda a=a: net.subnet(a), time.process_time) for a in drawn])
    return {"value": round(float(np.median(times)), 2), "least": round(float(times.min()), 2),
            "greatest": round(float(times.max()), 2)}  # fmt: skip
