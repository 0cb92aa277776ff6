"""Successive halving (arXiv 1502.07943): a round of candidates races on growing shares of the images, and each time
only the best go on. ASHA (arXiv 1810.05934), which waits for nobody, is `with_raytune`'s; this one needs no Ray, and
finds the same every time.

Another strategy proposes, a round at a time. Ours differs from the paper in that what was seen of the images is not
seen again on the next share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, final

from typing_extensions import override

from nas.errors import StrategyError
from nas.numbers import Population, Unit, whole
from nas.search.dispatch import Dispatcher, Job
from nas.search.problem import Objective, Problem
from nas.search.search import Search, Staged
from nas.search.searcher import SearcherOptions, proposing
from nas.search.strategy import Strategy
from nas.search.trial import Outcome, Trial


@final
@dataclass(frozen=True, kw_only=True)
class Halving(Strategy):
    """Measures what another strategy proposes on growing shares of the images; who falls behind is stopped.

    searcher   who proposes: a black-box strategy's name, or a mapping with `use:` and its options
    round      candidates that race against each other
    rungs      shares of the images, in an order drawn from the seed: with 3 rungs and eta 3 they are 1/9, 1/3 and all
    eta        of those on a share of the images, the best 1/eta go on to the next
    """

    searcher: SearcherOptions = field(default="evolution", hash=False)
    round: Population = 27
    rungs: Annotated[int, whole(2, 20), Unit("shares")] = 3
    eta: Annotated[int, whole(2, 1000)] = 3

    examples = (
        {"trials": 150, "round": 9, "searcher": {"use": "evolution", "population": 20, "sample": 6}},
        {"trials": 150, "round": 8, "eta": 2, "rungs": 4, "searcher": {"use": "evolution", "population": 16}},
    )

    @property
    @override
    def by_shares(self) -> bool:
        return True

    @property
    @override
    def takes_prior(self) -> bool:
        return proposing(self.searcher).takes_prior

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for several objectives, and for what the searcher refuses."""
        problem.require_one_objective("one decides who goes on")
        proposing(self.searcher).check(problem)

    @override
    def search(self, search: Search) -> Iterator[Trial]:
        """Raises `StrategyError`, too, for a measure that cannot be stopped early."""
        self.check(search.problem)
        if not isinstance(search.measure, Staged):
            raise StrategyError(f"{search.problem.strategy}: what measures here knows no shares of images to race on")
        return self._search(search)

    def _search(self, search: Search) -> Iterator[Trial]:
        dispatcher = Dispatcher(proposing(self.searcher), search, self.round)
        while not dispatcher.finished:
            known = len(search.history)
            jobs = list(iter(dispatcher.next, None))
            yield from search.history[known:]  # repeats of what was measured before
            if jobs:
                yield from self._race(search, dispatcher, jobs)

    def _race(self, search: Search, dispatcher: Dispatcher, jobs: list[Job]) -> Iterator[Trial]:
        """Race the jobs of one round, and yield each trial as soon as its candidate falls behind, fails or arrives.

        After a kill, the round is begun anew by those that were still running, and ends as it would have ended.
        """
        assert isinstance(search.measure, Staged)
        first = jobs[0].number // self.round * self.round
        shares = tuple(1 / self.eta**left for left in reversed(range(self.rungs)))
        running = [_Candidate(job, search.measure.stages(job.architecture, shares)) for job in jobs]

        # Those of this round that a killed run has recorded raced too, though not now. A repeat never raced.
        recorded = [t for t in search.history if first <= t.number < first + self.round and not t.cached]

        # How many may go on from a share of the images is counted from all that began, whoever failed or was recorded
        # meanwhile: else a round that was killed would let others go on than one that was not.
        places = len(recorded) + len(running)
        for share in shares:
            measured: list[_Candidate] = []
            for candidate in running:
                outcome = candidate.go_on(share)
                if outcome.error is None and share < 1:
                    measured.append(candidate)
                else:
                    yield from dispatcher.settle(candidate.job.number, outcome)

            # A recorded trial that has seen more than this share went on from here: it has one of the places.
            places = max(1, places // self.eta)
            free = places - sum(trial.share > share for trial in recorded)
            ahead = sorted(measured, key=lambda candidate: candidate.loss(search.problem.objectives[0]))[:free]

            # The others are stopped, in the order of their numbers.
            for candidate in measured:
                if candidate not in ahead:
                    yield from dispatcher.settle(candidate.job.number, candidate.outcome)
            running = [candidate for candidate in measured if candidate in ahead]


@final
class _Candidate:
    """One of a race: what was measured of it so far."""

    def __init__(self, job: Job, stages: Iterator[Mapping[str, Any]]) -> None:
        self.job, self._stages = job, stages
        self.outcome = Outcome({})

    def go_on(self, share: float) -> Outcome:
        """Measure on more images, until it has seen `share` of them."""
        stage = Outcome.measured(lambda: next(self._stages))
        self.outcome = replace(stage, share=share, seconds=self.outcome.seconds + stage.seconds)
        return self.outcome

    def loss(self, objective: Objective) -> float:
        """Less is better."""
        value = self.outcome.metrics[objective.metric]
        return -value if objective.maximise else value
