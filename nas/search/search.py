"""`Search`: a search while it runs. What a strategy sees of it, and the one way to measure an architecture.

The test split is not in a `Search`: no strategy can look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, final, runtime_checkable

from nas.errors import StrategyError
from nas.search.problem import Problem
from nas.search.ranking import to_minimise
from nas.search.standings import Standings
from nas.search.trial import SHARE, Outcome, State, Trial
from nas.searchspaces.architecture import Architecture

if TYPE_CHECKING:
    from nas.supernets.supernet import Supernet
    from nas.training.workplace import Workplace


@runtime_checkable
class Staged(Protocol):
    """A measure that can stop early, as racing needs it (`nas.evaluation.Measure`)."""

    def stages(self, architecture: Architecture, shares: tuple[float, ...]) -> Iterator[Mapping[str, float]]:
        """Metrics on growing shares of the images."""
        ...


def _forget(supernet: Supernet, rows: Sequence[Mapping[str, Any]]) -> None:
    """For strategies that train no weights of their own."""


def _unseen(number: int, architecture: Architecture) -> None:
    """Where nobody asks what is under way."""


@final
@dataclass(kw_only=True)
class Search:
    """A problem, what was measured so far, and how to measure more.

    problem     what is asked
    measure     architecture -> its metrics. It can be pickled where a strategy measures in other processes
    counts      architecture -> its costs, by quantity
    record      stores a trial, before the search goes on
    begin       hears the number and the architecture of a trial that is about to be measured
    history     this strategy's trials: on resume those of the store, by their numbers, then each as it is known
    pending     digests of what is being measured, in searches that measure several at once
    elsewhere   digests of what other runs of a shared study have measured, which this one leaves to them
    known       digest -> metrics that others of the same run have measured; they are not measured again
    supernet    for strategies that need it: they change a copy
    work        what such strategies may train on
    adopt       takes that copy, and how it was trained (`History.rows`). Called once, before anything is evaluated:
                from then on architectures are measured on the copy, and the winner is extracted from it
    """

    problem: Problem
    measure: Callable[[Architecture], Mapping[str, float]]
    counts: Callable[[Architecture], Mapping[str, int]]
    record: Callable[[Trial], None]
    begin: Callable[[int, Architecture], None] = _unseen
    history: list[Trial] = field(default_factory=list)
    pending: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    known: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    supernet: Supernet | None = None
    work: Workplace | None = None
    adopt: Callable[[Supernet, Sequence[Mapping[str, Any]]], None] = _forget

    def __post_init__(self) -> None:
        self.history = sorted(self.history, key=lambda trial: trial.number)
        assert len({trial.number for trial in self.history}) == len(self.history), "two trials of one number"
        # Of several trials of one architecture, the first one was measured, and the others repeat it.
        self._first = {trial.architecture.digest: trial for trial in reversed(self.history)}
        self.standings = Standings(self.problem.objectives)
        """The history without failures, best first."""
        for trial in self.history:
            self.standings.add(trial)

    @cached_property
    def elders(self) -> Standings:
        """The trials of earlier runs (`Problem.prior`), best first."""
        standings = Standings(self.problem.objectives)
        for trial in self.problem.prior:
            standings.add(trial)
        return standings

    def seen(self, architecture: Architecture) -> bool:
        """Whether this strategy has had the architecture before (done or not), or leaves it to another run."""
        return any(architecture.digest in digests for digests in (self._first, self.pending, self.elsewhere))

    def youngest(self, most: int, *states: State) -> list[Trial]:
        """The last trials of the history that are in one of these states, the oldest first."""
        fitting = (trial for trial in reversed(self.history) if trial.state in states)
        return [*islice(fitting, most)][::-1]

    def evaluate(self, architectures: Iterable[Architecture], notes: Mapping[str, Any] | None = None) -> list[Trial]:
        """Measure, record and append each architecture, in order; one trial each.

        What was measured before comes back as a cached trial. A measurement that raises, or that is not finite, gives
        a failed trial. Raises `SpaceError` for an architecture that is not of the space, `StrategyError` for one over
        the limit or for an objective that is not measured. `KeyboardInterrupt`, and whatever `record` raises, pass
        through.
        """
        trials = []
        for architecture in architectures:
            self.accept(architecture)
            outcome = self.recall(architecture) or self._measured(len(self.history), architecture)
            trials.append(self.settle(len(self.history), architecture, outcome, notes or {}))
        return trials

    def accept(self, architecture: Architecture) -> None:
        """Raise `SpaceError` or `StrategyError` for what no strategy may propose."""
        self.problem.space.check(architecture)
        if not self.problem.allows(architecture):
            raise StrategyError(f"strategy '{self.problem.strategy}' proposed {architecture}, which is over the limit")

    def recall(self, architecture: Architecture) -> Outcome | None:
        """What is known of the architecture already, None if nothing."""
        before = self._first.get(architecture.digest)
        if before is not None:
            return Outcome(before.metrics, before.error, cached=True, share=before.share)
        if architecture.digest in self.known:
            return Outcome(dict(self.known[architecture.digest]), cached=True)
        return None

    def settle(
        self, number: int, architecture: Architecture, outcome: Outcome, notes: Mapping[str, Any] = MappingProxyType({})
    ) -> Trial:
        """The trial of an outcome, recorded and in the history. Raises as `evaluate` does."""
        trial = Trial(
            number=number,
            architecture=architecture,
            metrics=outcome.metrics,
            costs=dict(self.counts(architecture)),
            strategy=self.problem.strategy,
            seed=self.problem.seed,
            seconds=outcome.seconds,
            state=outcome.state,
            error=outcome.error,
            cached=outcome.cached,
            notes={**notes, SHARE: outcome.share} if outcome.share < 1 else notes,
        )
        if trial.error is None:
            to_minimise([trial], self.problem.objectives)  # an objective that nobody measures is a fault of the study
        self.record(trial)
        self.learn(trial)
        return trial

    def learn(self, trial: Trial) -> None:
        """Put a trial that is recorded into the history."""
        self.history.append(trial)
        self._first.setdefault(trial.architecture.digest, trial)
        self.standings.add(trial)

    def _measured(self, number: int, architecture: Architecture) -> Outcome:
        self.begin(number, architecture)
        return Outcome.measured(lambda: self.measure(architecture))
