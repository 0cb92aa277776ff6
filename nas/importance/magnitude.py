"""Weight magnitude: a unit counts as much as the absolute weights that write it and read it (L1 norm, as in arXiv
1608.08710 for filters).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nas.importance.base import Importance
from nas.supernets import Supernet


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(Importance):
    """Sum of |w| over every parameter that names the axis, or an axis that selects from it, per unit. Needs no data.

    Axes that no parameter names, such as tokens, get no scores. Neither do depth and rank, which have no order.
    """

    @torch.no_grad()
    def scores(
        self,
        supernet: Supernet,
        batches: Iterable[tuple[Tensor, Tensor]],  # noqa: ARG002  (the interface)
    ) -> Mapping[str, Tensor]:
        """See `Importance.scores`."""
        table, frame = supernet.table, supernet.table.frame
        chosen = [axis for choice in supernet.space.values() for axis in choice.sizes[0]]
        scores: dict[str, Tensor] = {}
        for name, parameter in supernet.model.named_parameters():
            atoms = table.entries[name].atoms
            size = parameter.detach().abs().reshape([frame.full(atom) for atom in atoms])
            for place, atom in enumerate(atoms):
                for axis in (axis for axis in chosen if axis in _lies_within(atom, frame.within)):
                    rest = [other for other in range(len(atoms)) if other != place]
                    part = size.sum(dim=rest) if rest else size
                    scores[axis] = scores[axis] + part if axis in scores else part
        return scores


def _lies_within(atom: str, within: Mapping[str, str]) -> set[str]:
    """The axis itself and those whose units it selects from."""
    found = {atom}
    while atom in within:
        atom = within[atom]
        found.add(atom)
    return found
