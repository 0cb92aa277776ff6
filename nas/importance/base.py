"""What an importance criterion is: scores for the units of the axes that a search space chooses from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from nas.supernets import Supernet


@dataclass(frozen=True, kw_only=True)
class Importance(ABC):
    """Scores units, so that a smaller size keeps the best ones. Subclasses are frozen dataclasses: their fields are
    options in YAML.
    """

    @abstractmethod
    def scores(self, supernet: Supernet, batches: Iterable[tuple[Tensor, Tensor]]) -> Mapping[str, Tensor]:
        """Axis -> one score per unit of the whole model (float, units), the greater the better, for `supernet.reorder`.

        An axis that is left out keeps its order. `batches` are training images (batch x channels x height x width)
        and labels (batch), for those criteria that need data. The supernet is not changed.
        """
