"""In-place distillation: random sub-networks learn from what the largest answers on the same batch (Yu and Huang, arXiv
1903.05134, who do this within the sandwich rule).
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
@dataclass(frozen=True, kw_only=True)
class InPlace(TaughtByLargest):
    """The largest and `random` random ones, which it teaches. As `sandwich`, without the smallest in every step: a step
    costs less, and no sub-network is preferred.
    """

    random: Annotated[int, whole(1, 1000), Unit("sub-networks")] = 2

    @property
    @override
    def parts(self) -> int:
        return 1 + self.random

    @override
    def students(self, subnets: Subnets) -> Sequence[Architecture]:
        return subnets.random
