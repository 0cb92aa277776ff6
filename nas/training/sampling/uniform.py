"""Uniform sampling: each architecture within the limit has the same chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.training.sampling._base import Domain, Draw, SubnetSampling


@final
@dataclass(frozen=True, kw_only=True)
class UniformSampling(SubnetSampling):
    """Each architecture within the limit has the same chance, and draws are independent."""

    @override
    def drawer(self, domain: Domain) -> Draw:
        return lambda rng, n: domain.space.sample_table(rng, n, domain.limit)
