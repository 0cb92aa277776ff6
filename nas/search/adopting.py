"""`Adopting`: strategies that change the weights. They work on a copy of the supernet, which the run then adopts."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

from typing_extensions import override

from nas.search.problem import Problem, Trial
from nas.search.strategy import Strategy
from nas.searchspaces.architecture import Architecture
from nas.supernets import Supernet
from nas.training import History


@final
@dataclass(frozen=True)
class Learnt:
    """What such a strategy found: an architecture, how it trained (for the report), and what the trial remembers."""

    architecture: Architecture
    history: History = field(default_factory=History)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Adopting(Strategy):
    """A strategy of one trial: the architecture that it derives at the end, measured on the copy that it changed, from
    which the winner is extracted.
    """

    trials: Literal[1] = 1

    needs_supernet: ClassVar[bool] = True

    @abstractmethod
    def learn(self, problem: Problem, supernet: Supernet) -> Learnt:
        """Change `supernet`, in place, and derive an architecture within the limit. Raises `StrategyError` for none."""

    @final
    @override
    def search(self, problem: Problem) -> Iterator[Trial]:
        self.check(problem)
        return self._loop(problem)

    def _loop(self, problem: Problem) -> Iterator[Trial]:
        if problem.history:
            return
        assert problem.supernet is not None
        supernet = copy.deepcopy(problem.supernet)
        learnt = self.learn(problem, supernet)
        for own, given in zip(supernet.parameters(), problem.supernet.parameters(), strict=True):
            own.requires_grad_(given.requires_grad)
        problem.adopt(supernet, learnt.history.rows())
        yield from problem.evaluate([learnt.architecture], learnt.notes)
