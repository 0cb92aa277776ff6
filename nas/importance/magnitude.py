"""Weight magnitude: a unit counts as much as the absolute weights that write it and read it (L1 norm, as in arXiv
1608.08710 for filters).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from typing_extensions import override

from nas.importance._base import Importance, Scored
from nas.importance._units import per_unit
from nas.supernets import Supernet
from nas.training.workplace import Workplace


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(Importance):
    """Sum of |w| over every parameter that names the axis, or an axis that selects from it, per unit. Needs no data.

    Axes that no parameter names, such as tokens, get no scores. Neither do depth and rank, which have no order.
    """

    @torch.no_grad()
    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        return Scored(per_unit(supernet, {n: p.detach().abs() for n, p in supernet.model.named_parameters()}))
