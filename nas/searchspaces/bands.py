"""A limit cut into bands of sizes: each is a limit of its own, which is drawn from directly."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import pairwise

import numpy as np

from nas import quantities
from nas.errors import LimitError
from nas.searchspaces.limit import CostModel, Limit


def bands(cost: CostModel, limit: Limit | None, number: int) -> list[Limit]:
    """The limit, cut into bands of sizes of equal width, the least first; bands without an architecture are left
    out.
    """
    size = quantities.SIZE
    bounds = dict(limit.bounds) if limit else {}
    low, high = bounds.pop(size, (-math.inf, math.inf))
    # The bands end where architectures end: at the least and the most that there are, or that the limit allows.
    ((least, most),) = Limit(cost, **{size: (1, None)}).lattice.reachable
    edges = np.linspace(max(least, low), min(most, high), number + 1)
    edges[0] = math.ceil(edges[0]) - 1  # the lower edge of a band is not in it
    others = {name: (bound(least), bound(most)) for name, (least, most) in bounds.items()}
    limits = []
    for below, last in pairwise(edges):
        with suppress(LimitError):
            limits.append(Limit(cost, **{size: (math.floor(below) + 1, math.floor(last))}, **others))
    return limits


def bound(value: float) -> float | None:
    """How `Limit` takes the end of a band: None where there is none."""
    return None if math.isinf(value) else value
