"""What a strategy is: `Strategy`, and its black-box half `AskTell`. The gradient half is
`nas.search.relaxed.Relaxed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from nas.search.problem import Problem, Trial
from nas.searchspaces.architecture import Architecture


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

    @property
    def measures(self) -> bool:
        """Whether it measures in its own way, not by `problem.measure`: what it and others know of an architecture is
        then not the same.
        """
        return False

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
    exactly as if it had not been. What would be slow to make of the history each time is a `proposer`'s to keep.
    """

    @abstractmethod
    def ask(self, problem: Problem, number: int) -> Architecture:
        """The architecture of trial `number`, given the trials in `problem.history`: of the space, within the limit,
        and new (see `Problem.seen`) where that can be had.
        """

    def proposer(self, problem: Problem) -> Proposer:
        """Who is asked during one search of the problem. It starts with an empty memory, whatever the history holds."""
        return Proposer(self, problem)

    def search(self, problem: Problem) -> Iterator[Trial]:
        """Ask and evaluate until the budget is spent. Raises `StrategyError` at once when `check` does."""
        self.check(problem)
        return self._loop(problem)

    def _loop(self, problem: Problem) -> Iterator[Trial]:
        proposer = self.resumed(problem)
        for number in range(len(problem.history), problem.trials):
            (trial,) = problem.evaluate([proposer.ask(number)])
            proposer.tell(trial)
            yield trial

    def resumed(self, problem: Problem) -> Proposer:
        """A proposer that was asked and told all that the history holds, one after the other."""
        proposer = self.proposer(problem)
        for number, trial in enumerate(problem.history):
            assert trial.number == number, "history must be whole"
            proposer.ask(number, trial.architecture)
            proposer.tell(trial)
        return proposer


class Proposer:
    """Asks a strategy during one search. This one remembers nothing: what a strategy needs is in the history."""

    def __init__(self, strategy: AskTell, problem: Problem) -> None:
        self.strategy, self.problem = strategy, problem

    def ask(self, number: int, answer: Architecture | None = None) -> Architecture:
        """The proposal for trial `number`. After a kill, the trials that are recorded are asked for again, with the
        `answer` that was given then.
        """
        return self.strategy.ask(self.problem, number) if answer is None else answer

    def tell(self, trial: Trial) -> None:
        """Hear what came of a proposal, once, after it entered the history."""
