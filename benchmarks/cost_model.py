"""Architectures per second through the closed-form cost, on one core; the aim is a million."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.models import SPACES, supernet
from benchmarks.pairs import seconds
from nas import quantities

ARCHITECTURES = 1_000_000


def measure() -> Iterator[dict[str, object]]:
    for name in SPACES:
        net = supernet(name)
        table = net.space.sample_table(np.random.default_rng(0), ARCHITECTURES)
        for quantity in quantities.counted():
            cost = net.cost.additive(quantity.name)
            best = min(seconds(lambda cost=cost, table=table: cost(table)) for _ in range(5))
            yield {"what": f"{name} {quantity.name}", "unit": "architectures/s", "value": round(ARCHITECTURES / best)}
