"""Time of a sub-network at half the MACs over that of the largest, forward at batch 32; the aim is 0.6."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.models import SPACES, half, supernet
from benchmarks.pairs import ratio

BATCH, PAIRS = 32, 9


def measure() -> Iterator[dict[str, object]]:
    for name in SPACES:
        net = supernet(name).eval()
        images = torch.randn(BATCH, 3, 224, 224)
        architecture, largest = half(net), net.space.largest
        with torch.inference_mode():
            yield {
                "what": f"{name} at {net.cost.counts(architecture)['macs'] / net.cost.base('macs'):.3f} of the MACs",
                "unit": "half / largest",
                **ratio(lambda: net(images, architecture), lambda: net(images, largest), PAIRS),  # noqa: B023
            }
