"""What a strategy is: `Strategy`, and its black-box half `AskTell`. The gradient half is
`nas.strategies.relaxed.Relaxed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from nas.searchspaces.architecture import Architecture
from nas.strategies.problem import Problem, Trial


@dataclass(frozen=True, kw_only=True)
class Strategy(ABC):
    """A way to explore a search space. Subclasses are frozen dataclasses: their fields are the options that a YAML
    preset may set.

    `trials` is the budget: architectures proposed, repeated ones included.
    """

    trials: Annotated[int, Field(ge=1)] = 200

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    """Sets of options with which `nas.testing.strategies.StrategySuite` tests this strategy."""

    guided: ClassVar[bool] = True
    """Whether it learns from its trials. `StrategySuite` then wants it to beat `uniform`."""

    searches: ClassVar[bool] = True
    """Whether its trials differ; one that always proposes the same architecture is not asked for several."""

    needs_supernet: ClassVar[bool] = False
    """Whether `problem.supernet` and `.work` must be there: strategies by gradients or importance, which have a suite
    of their own.
    """

    def check(self, problem: Problem) -> None:  # noqa: B027  (most strategies take every problem)
        """Raise `StrategyError` when this strategy cannot search the problem, such as one with several objectives."""

    @abstractmethod
    def search(self, problem: Problem) -> Iterator[Trial]:
        """Trials, each as soon as it is known, until `problem.trials` are in `problem.history`. Continues after those
        that are in it already.
        """


@dataclass(frozen=True, kw_only=True)
class AskTell(Strategy):
    """A black-box strategy: it says which architecture comes next, and needs nothing but what was measured so far.

    `ask` is a pure function of the history and of `problem.rng(number)`. A search that was killed therefore continues
    exactly as if it had not been.
    """

    @abstractmethod
    def ask(self, problem: Problem, number: int) -> Architecture:
        """The architecture of trial `number`, given trials 0 to number - 1 in `problem.history`: of the space, and
        within the limit.
        """

    def search(self, problem: Problem) -> Iterator[Trial]:
        """Ask and evaluate until the budget is spent. Raises `StrategyError` at once when `check` does."""
        self.check(problem)
        return self._loop(problem)

    def _loop(self, problem: Problem) -> Iterator[Trial]:
        for number in range(len(problem.history), problem.trials):
            yield from problem.evaluate([self.ask(problem, number)])
