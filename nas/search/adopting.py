"""`Adopting`: strategies that change the weights. They work on a copy of the supernet, which the run then adopts."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, final

from typing_extensions import override

from nas.documents.markers import MayChange
from nas.numbers import Workers
from nas.search.search import Search
from nas.search.strategy import Strategy
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture
from nas.supernets import Supernet
from nas.training import History


@final
@dataclass(frozen=True)
class Learnt:
    """What such a strategy derives: an architecture, how it trained (for the report), and what the trial remembers."""

    architecture: Architecture
    history: History = field(default_factory=History)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Adopting(Strategy):
    """A strategy of one trial: the architecture that it derives at the end, measured on the copy that it changed, from
    which the winner is extracted.

    workers   processes on Ray that train together whatever it trains, as those of `supernet: {workers: 2}` do
    """

    trials: Literal[1] = 1
    workers: Annotated[Workers, MayChange()] = 1

    needs_supernet: ClassVar[bool] = True

    @abstractmethod
    def learn(self, search: Search, supernet: Supernet) -> Learnt:
        """Change `supernet`, in place, and derive an architecture within the limit. Raises `StrategyError` for none."""

    @property
    @override
    def trains_on_workers(self) -> bool:
        return self.workers > 1

    @final
    @override
    def search(self, search: Search) -> Iterator[Trial]:
        self.check(search.problem)
        return self._loop(search)

    def _loop(self, search: Search) -> Iterator[Trial]:
        if search.history:
            return
        assert search.supernet is not None
        supernet = copy.deepcopy(search.supernet)
        learnt = self.learn(search, supernet)
        # A strategy may freeze weights while it learns. Whoever trains the adopted supernet later trains all of it.
        for parameter, original in zip(supernet.parameters(), search.supernet.parameters(), strict=True):
            parameter.requires_grad_(original.requires_grad)
        search.adopt(supernet, learnt.history.rows())
        yield from search.evaluate([learnt.architecture], learnt.notes)
