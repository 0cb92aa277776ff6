"""What every sampling shares: it is bound to what may be drawn, once, and then draws tables of architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from nas.searchspaces.counting.factors import Table

if TYPE_CHECKING:
    from nas.searchspaces import Limit, SearchSpace
    from nas.supernets import Cost

Draw = Callable[[np.random.Generator, int], Table]
"""(rng, n) -> a table of n architectures. All that is random comes from the generator."""


@final
@dataclass(frozen=True, eq=False)
class Domain:
    """What may be drawn: the architectures of a space, within a limit if there is one; and what each costs, where
    somebody knows.
    """

    space: SearchSpace
    limit: Limit | None = None
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True)
class SubnetSampling(ABC):
    """Subclass as a frozen dataclass; its fields are the options in YAML."""

    bounded: ClassVar[bool] = True
    """Whether it keeps to a limit."""

    @abstractmethod
    def drawer(self, domain: Domain) -> Draw:
        """What draws from a domain. A rule asks once, and for all steps of an epoch in one table: rows that follow
        one another are drawn for the same step, or the next.
        """
