"""What a strategy is: `Strategy`, and its black-box half `AskTell`. The gradient half is
`nas.search.relaxed.Relaxed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from nas.errors import StrategyError
from nas.numbers import Trials
from nas.search.problem import Problem
from nas.search.search import Search
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Strategy(ABC):
    """A way to explore a search space. Subclasses are frozen dataclasses: their fields are the options that a YAML
    preset may set.

    `trials` is the budget: architectures proposed, repeated ones included.
    """

    trials: Trials = 200

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    """Sets of options with which `nas.testing.strategies.StrategySuite` tests this strategy."""

    guided: ClassVar[bool] = True
    """Whether it learns from its trials. `StrategySuite` then wants it to beat `uniform`."""

    searches: ClassVar[bool] = True
    """Whether its trials differ; one that always proposes the same architecture is not asked for several."""

    compares: ClassVar[bool] = False
    """Whether it compares outputs of two networks: then the task must have a divergence."""

    by_parts: ClassVar[bool] = False
    """Whether it compares candidates on one part of the images after the other: then the first objective must be a mean
    over images.
    """

    needs_supernet: ClassVar[bool] = False
    """Whether `Search.supernet` and `Search.work` must be there: strategies by gradients or importance, which have a
    suite of their own.
    """

    @property
    def measures(self) -> bool:
        """Whether it measures in a way of its own, such as training each candidate, and not by `Search.measure`.

        Its metrics then do not compare with those of other strategies in the same run, so neither takes over what the
        other has measured.
        """
        return False

    @property
    def by_shares(self) -> bool:
        """Whether it measures candidates on the first images only, for a start. Splits often lie sorted by class, so
        that these are put in an order by chance then.
        """
        return self.by_parts

    @property
    def competes(self) -> bool:
        """Whether it measures several architectures with the same weights, the best of which may compete."""
        return self.searches and not self.needs_supernet

    @property
    def trains_on_workers(self) -> bool:
        """Whether several workers on Ray train what it trains: see `nas.search.adopting`."""
        return False

    @property
    def takes_prior(self) -> bool:
        """Whether it learns from trials of earlier runs, `Problem.prior`."""
        return False

    def check(self, problem: Problem) -> None:  # noqa: B027  (most strategies take every problem)
        """Raise `StrategyError` when this strategy cannot search the problem, such as one with several objectives."""

    @abstractmethod
    def search(self, search: Search) -> Iterator[Trial]:
        """Trials, each as soon as it is known, until `search.problem.trials` are in `search.history`. Continues after
        those that are in it already.
        """


@dataclass(frozen=True, kw_only=True)
class AskTell(Strategy):
    """A black-box strategy: it says which architecture comes next, and needs nothing but what was measured so far.

    `ask` is a pure function of the history and of `problem.rng(number)`. A search that was killed therefore continues
    exactly as if it had not been. What would be slow to make of the history each time is a `proposer`'s to keep.
    """

    @abstractmethod
    def ask(self, search: Search, number: int) -> Architecture:
        """The architecture of trial `number`, given the trials in `search.history`: of the space, within the limit,
        and new (see `Search.seen`) where that can be had.
        """

    def proposer(self, search: Search) -> Proposer:
        """Who is asked during one search. It starts with an empty memory, whatever the history holds."""
        return Proposer(self, search)

    @override
    def search(self, search: Search) -> Iterator[Trial]:
        """Ask and evaluate until the budget is spent. Raises `StrategyError` at once when `check` does."""
        self.check(search.problem)
        return self._loop(search)

    def _loop(self, search: Search) -> Iterator[Trial]:
        proposer = self.resumed(search)
        for number in range(len(search.history), search.problem.trials):
            (trial,) = search.evaluate([proposer.ask(number)])
            proposer.tell(trial)
            yield trial

    def resumed(self, search: Search) -> Proposer:
        """A proposer that was asked and told all that the history holds, one after the other."""
        proposer = self.proposer(search)
        for number, trial in enumerate(search.history):
            if trial.number != number:
                raise StrategyError(
                    f"trial {number} by {trial.strategy} is missing in the table of trials, and what follows from it "
                    "cannot be asked for again; restore it from a copy, or search anew: nas run RUN --from explore"
                )
            proposer.ask(number, trial.architecture)
            proposer.tell(trial)
        return proposer


class Proposer:
    """Asks a strategy during one search. This one remembers nothing: what a strategy needs is in the history."""

    def __init__(self, strategy: AskTell, search: Search) -> None:
        self.strategy, self.search, self.problem = strategy, search, search.problem

    def ask(self, number: int, answer: Architecture | None = None) -> Architecture:
        """The proposal for trial `number`. After a kill, the trials that are recorded are asked for again, with the
        `answer` that was given then.
        """
        return self.strategy.ask(self.search, number) if answer is None else answer

    def tell(self, trial: Trial) -> None:
        """Hear what came of a proposal, once, after it entered the history."""
