"""The sandwich rule: largest, smallest and some random sub-networks in every step, the largest teaching the others (Yu
and Huang 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, final

from typing_extensions import override

from nas.numbers import Unit, whole
from nas.training.rules._base import Subnets
from nas.training.rules._in_place import TaughtByLargest

if TYPE_CHECKING:
    from nas.searchspaces import Architecture


@final
@dataclass(frozen=True)
class Sandwich(TaughtByLargest):
    """The largest, which teaches the smallest and `random` random ones.

    The parts are summed, as published. Each is differentiated before the next sub-network runs, so the memory is that
    of the largest.
    """

    random: Annotated[int, whole(0, 1000), Unit("sub-networks")] = 2

    @property
    @override
    def parts(self) -> int:
        return 2 + self.random

    @override
    def students(self, subnets: Subnets) -> Sequence[Architecture]:
        return (subnets.smallest, *subnets.random)
