"""A handful of architectures that stand for all within a limit: strata over their size, and in each over a metric with
shared weights.

They are drawn from the space, not from the trials of a search: those crowd where the search went, and uniform draws
crowd around the middle of the sizes. Strata are limits of their own, and limits are drawn from directly, see
`nas.searchspaces.counting.lattice`. In each stratum all come from one narrow band, in which sizes are about equal:
there a ranking shows what it knows beside the size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas import quantities
from nas.errors import RunError
from nas.searchspaces import Architecture, Limit
from nas.searchspaces.bands import bands, bound
from nas.supernets import Cost

POOL = 8
"""Candidates that are measured with shared weights for each architecture that is chosen."""
WIDTH = 0.02
"""Of a narrow band: how much less the least size in it is than the greatest, as a share of that."""

MetricsOf = Callable[[Architecture], Mapping[str, float]]


@final
@dataclass(frozen=True)
class Member:
    """One architecture of the sample, the band of sizes that it is from (the least first), and its metrics with shared
    weights, on all images and on `parts` of them.
    """

    architecture: Architecture
    band: int
    shared: Mapping[str, float]
    parts: tuple[Mapping[str, float], ...] = ()


def stratified(cost: Cost, limit: Limit | None, count: int, measure: MetricsOf, metric: str, seed: int) -> list[Member]:
    """`count` different architectures within the limit, the same for the same seed and measure.

    The sizes within the limit are cut into about sqrt(count) bands of equal width, and in each a narrow one is drawn,
    around a random architecture; where it has too few, the rest of the wide one helps. Each band's candidates are
    ordered by their `metric` and cut into as many groups as the band has members; one is drawn from each group. Raises
    `RunError` when the limit leaves too few.
    """
    rng = np.random.default_rng(seed)
    pools = [_pool(cost, band, count, rng) for band in bands(cost, limit, math.ceil(math.sqrt(count)))]
    shares = _shares([len(pool) for pool in pools], count)
    if sum(shares) < count:
        size = quantities.find(quantities.SIZE).title
        raise RunError(
            f"architectures: found {count}, but {POOL * count} draws in each of {len(pools)} bands of {size} within "
            f"the limit gave {sum(shares)} different ones; ask for fewer, or widen the space or the limit"
        )
    members = []
    for number, (pool, share) in enumerate(zip(pools, shares, strict=True)):
        candidates = pool.near if len(pool.near) >= share else (*pool.near, *pool.others)
        measured = [Member(architecture, number, measure(architecture)) for architecture in candidates[: POOL * share]]
        members += _spread(measured, metric, share, rng)
    return members


@final
@dataclass(frozen=True)
class _Pool:
    """Different architectures of a band, in a narrow one and in the rest; enough for all that could be asked of it."""

    near: tuple[Architecture, ...]
    others: tuple[Architecture, ...]

    def __len__(self) -> int:
        return len(self.near) + len(self.others)


def _pool(cost: Cost, band: Limit, count: int, rng: np.random.Generator) -> _Pool:
    everywhere = _drawn(cost, band, count, rng)
    middle = cost.counts(everywhere[0])[quantities.SIZE]
    bounds = {name: (bound(least), bound(most)) for name, (least, most) in band.bounds.items()}
    low, high = band.bounds[quantities.SIZE]
    bounds[quantities.SIZE] = (
        max(low, math.ceil(middle * (1 - WIDTH / 2))),
        min(high, math.floor(middle * (1 + WIDTH / 2))),
    )
    near = _drawn(cost, Limit(cost, **bounds), count, rng)
    inside = {architecture.digest for architecture in near}
    return _Pool(near, tuple(architecture for architecture in everywhere if architecture.digest not in inside))


def _drawn(cost: Cost, limit: Limit, count: int, rng: np.random.Generator) -> tuple[Architecture, ...]:
    table = cost.space.sample_table(rng, POOL * count, limit)
    return tuple({architecture.digest: architecture for architecture in cost.space.from_table(table)}.values())


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many members each band gives: in turn, as long as it has any."""
    shares = [0] * len(sizes)
    while sum(shares) < min(count, sum(sizes)):
        open_bands = [band for band, size in enumerate(sizes) if shares[band] < size]
        for band in open_bands[: count - sum(shares)]:
            shares[band] += 1
    return shares


def _spread(measured: Sequence[Member], metric: str, share: int, rng: np.random.Generator) -> list[Member]:
    """One of each group of similar values."""
    ordered = sorted(measured, key=lambda member: (member.shared[metric], member.architecture.digest))
    groups = np.array_split(np.arange(len(ordered)), share) if share else []
    return [ordered[int(rng.choice(group))] for group in groups]
