"""Drawing architectures within a limit: time to build the lattice once, and draws per second, also where few fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.models import SPACES, supernet
from benchmarks.pairs import seconds
from nas.searchspaces import Limit
from nas.searchspaces.limit import Bound

DRAWS = 10_000


def measure() -> Iterator[dict[str, object]]:
    for name in SPACES:
        net = supernet(name)
        least = net.cost.counts(net.space.smallest)["macs"]
        bounds: dict[str, Bound] = {"50%": "50%", "49.9% to 50%": ("49.9%", "50%"), "1.05 x the least": 1.05 * least}
        for words, bound in bounds.items():
            build = seconds(lambda net=net, bound=bound: Limit(net.cost, macs=bound))
            limit = Limit(net.cost, macs=bound)
            drawing = seconds(lambda net=net, lim=limit: net.space.sample_table(np.random.default_rng(0), DRAWS, lim))
            what = f"{name}, MACs {words}, {limit.share:.2g} of the space fits"
            yield {"what": f"{what}: lattice", "unit": "s", "value": round(build, 3)}
            yield {"what": f"{what}: draws", "unit": "architectures/s", "value": round(DRAWS / drawing)}
