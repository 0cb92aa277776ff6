"""Drawing architectures within a limit: time to build the lattice once, and draws per second, also where few fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.models import SPACES, supernet
from benchmarks.pairs import seconds
from nas.searchspaces import Limit

DRAWS = 10_000


def measure() -> Iterator[dict[str, object]]:
    for name in SPACES:
        net = supernet(name)
        for bound in ("50%", ("49.9%", "50%"), "33%"):
            built: list[Limit] = []
            build = seconds(lambda net=net, bound=bound, built=built: built.append(Limit(net.cost, macs=bound)))
            limit = built[0]
            drawing = seconds(
                lambda net=net, limit=limit: net.space.sample_table(np.random.default_rng(0), DRAWS, limit)
            )
            what = f"{name} macs {bound}, feasible share {limit.share:.2g}"
            yield {"what": f"{what}: lattice", "unit": "s", "value": round(build, 3)}
            yield {"what": f"{what}: draws", "unit": "architectures/s", "value": round(DRAWS / drawing)}
