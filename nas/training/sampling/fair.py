"""Fair sampling: in each round every value of a choice is trained once (FairNAS, arXiv 1907.01845)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from nas.searchspaces.counting.factors import Table
from nas.training.sampling._base import Domain, Draw, SubnetSampling


@final
@dataclass(frozen=True, kw_only=True)
class FairSampling(SubnetSampling):
    """Rounds: a choice of k values takes each of them once in k draws, in an order of its own.

    Ours differs: choices may have different numbers of values, and so rounds of different lengths, and a round may
    reach over several optimiser steps, where FairNAS joins the gradients of a round in one: `random: k` does that.
    Rules between choices (sizes that never grow) and blocks that are switched off change values afterwards, and there
    fairness ends. Within a limit values are not equally frequent, so there is none.
    """

    bounded: ClassVar[bool] = False

    @override
    def drawer(self, domain: Domain) -> Draw:
        assert domain.limit is None, "no limit leaves all values equally often"
        space = domain.space

        def draw(rng: np.random.Generator, n: int) -> Table:
            columns = [np.concatenate([rng.permutation(k) for _ in range(0, max(n, 1), k)])[:n] for k in space.n_values]
            return space.canonical(np.stack(columns, axis=1))

        return draw
