"""A supernet whose weights are split, as in few-shot neural architecture search (arXiv 2006.06863): architectures that
differ in one choice share fewer weights, and so pull less at what others have learned.

Ours differs: all begin with the weights, and the order of units, of one supernet, and learn side by side in one
training. Each architecture belongs to one of them, which runs and extracts it: what is exact for a supernet stays so.
"""

from __future__ import annotations

import copy
from typing import final

import numpy as np
from torch import Tensor, nn

from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet


@final
class FewShot(nn.Module):
    """As many copies of a supernet as there are groups of neighbouring values of a choice."""

    def __init__(self, supernet: Supernet, choice: str, groups: int) -> None:
        super().__init__()
        values = supernet.space[choice].values
        assert 1 < groups <= len(values), f"{choice} has {len(values)} values, which are not {groups} groups"
        self.choice = choice
        self.group_of = {
            value: number for number, group in enumerate(np.array_split(values, groups)) for value in group.tolist()
        }
        self.members = nn.ModuleList(copy.deepcopy(supernet) for _ in range(groups))

    @property
    def space(self) -> SearchSpace:
        """The space of all of them."""
        return self._member(0).space

    def of(self, architecture: Architecture) -> Supernet:
        """The supernet that an architecture belongs to."""
        return self._member(self.group_of[architecture[self.choice]])

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """As a supernet's."""
        outputs: Tensor = self.of(architecture)(x, architecture)
        return outputs

    def subnet(self, architecture: Architecture) -> nn.Module:
        """As a supernet's."""
        return self.of(architecture).subnet(architecture)

    def extract(self, architecture: Architecture) -> nn.Module:
        """As a supernet's."""
        return self.of(architecture).extract(architecture)

    def refresh(self) -> None:
        """As a supernet's."""
        for number in range(len(self.members)):
            self._member(number).refresh()

    def _member(self, number: int) -> Supernet:
        member = self.members[number]
        assert isinstance(member, Supernet)
        return member
