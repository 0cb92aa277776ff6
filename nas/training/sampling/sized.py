"""Sampling by size: all sizes are trained equally often, where uniform draws crowd around the middle (AttentiveNAS,
arXiv 2011.09011; AlphaNet, arXiv 2102.07954).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, final

import numpy as np
from typing_extensions import override

from nas.numbers import Unit, whole
from nas.searchspaces.bands import bands
from nas.searchspaces.counting.factors import Table
from nas.training.sampling._base import Domain, Draw, SubnetSampling

Toward = Literal["both", "small", "large"]


@final
@dataclass(frozen=True, kw_only=True)
class SizedSampling(SubnetSampling):
    """A band of sizes (MACs) first, then an architecture of the band, uniformly.

    bands    of equal width, from the least size to the greatest within the limit; those without an architecture are
             left out
    toward   which bands are drawn more often: none (both), or the smaller or the larger ones, the chance growing in
             even steps from one end to the other

    AttentiveNAS draws a size from the sizes of uniform draws, and then takes of several candidates of about this size
    the one that a predictor, or the loss on the batch, calls best or worst. Ours spreads sizes evenly, by exact draws
    from each band in place of rejection, and does not judge candidates: workers that see different parts of a batch
    would judge otherwise.
    """

    bands: Annotated[int, whole(2, 64), Unit("bands")] = 8
    toward: Toward = "both"

    @override
    def drawer(self, domain: Domain) -> Draw:
        assert domain.cost is not None, "sizes are drawn where costs are known"
        lattices = [band.lattice for band in bands(domain.cost, domain.limit, self.bands)]
        steps = np.arange(1.0, len(lattices) + 1)
        weights = {"both": np.ones(len(lattices)), "small": steps[::-1], "large": steps}[self.toward]

        def draw(rng: np.random.Generator, n: int) -> Table:
            chosen = rng.choice(len(lattices), size=n, p=weights / weights.sum())
            table = np.empty((n, len(domain.space)), np.int64)
            for number, lattice in enumerate(lattices):
                rows = np.flatnonzero(chosen == number)
                table[rows] = lattice.sample(rng, len(rows))
            return table

        return draw
