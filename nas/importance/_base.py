"""What an importance criterion is: scores for the units of the axes that a search space chooses from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.training import History
from nas.training.workplace import Workplace


@final
@dataclass(frozen=True)
class Scored:
    """What a criterion found: axis -> one score per unit (float, units), and how it trained, if it did."""

    scores: Mapping[str, Tensor]
    history: History = field(default_factory=History)


@dataclass(frozen=True, kw_only=True)
class Importance(ABC):
    """Scores units, so that a smaller size keeps the best ones. Subclasses are frozen dataclasses: their fields are
    options in YAML.
    """

    @abstractmethod
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        """One score per unit of the whole model, the greater the better, for axes that the supernet's space chooses.

        An axis that is left out keeps its order. `work` has the data, for criteria that need some. A criterion may
        change the supernet: l1_gates trains it, directions choose how it factors matrices, shared votes sort the
        embedding. The others leave it as it is.
        """

    @property
    def trains(self) -> bool:
        """Whether it trains the supernet to score it: then the study's workers can."""
        return False

    @property
    def blockwise(self) -> bool:
        """Whether scores of a block follow from it and the blocks before it alone, and `score` changes nothing: then
        they can be taken while a supernet trains, and the blocks behind it are cut already.
        """
        return False

    def check(self, space: SearchSpace) -> None:  # noqa: B027  (most criteria take every space)
        """Raise `StrategyError` when this criterion has nothing to score in the space; known before anything trains."""

    @final
    def apply(self, supernet: Supernet, work: Workplace) -> Scored:
        """Put the units of the supernet in order, in place. The scores returned are in the new order, descending.

        Directions of matrices stay as they are.
        """
        scored = self.score(supernet, work)
        movable = {axis: scores for axis, scores in scored.scores.items() if supernet.orders(axis)}
        supernet.reorder(movable)
        protected = supernet.table.frame.protected
        ordered = {axis: _descending(scores, protected.get(axis, 0)) for axis, scores in movable.items()}
        return Scored({**scored.scores, **ordered}, scored.history)


def _descending(scores: Tensor, first: int) -> Tensor:
    """Scores as their units stand after `Supernet.reorder`: protected ones first."""
    return torch.cat([scores[:first], scores[first:].sort(descending=True, stable=True).values])
