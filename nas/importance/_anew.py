"""Scores taken anew in the middle of a training, from the weights as they then are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, final

from torch import Tensor

from nas.importance._base import Importance
from nas.supernets import Supernet
from nas.training.workplace import Workplace


@final
@dataclass(frozen=True, eq=False)
class Anew:
    """Scores a supernet by a criterion on the images of a workplace. Copies of a module that holds it (a moving
    average) share it, and with it the images.
    """

    criterion: Importance
    work: Workplace

    def __call__(self, supernet: Supernet) -> Mapping[str, Tensor]:
        """Axis -> one score per unit; the supernet stays as it is."""
        return self.criterion.score(supernet, self.work).scores

    def __deepcopy__(self, memo: object) -> Self:
        return self
