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

from pydantic import Field
from typing_extensions import override

from nas.errors import StrategyError
from nas.search.dispatch import Dispatcher, Job
from nas.search.problem import Objective, Outcome, Problem, Staged, Trial
from nas.search.searcher import SearcherOptions, proposing
from nas.search.strategy import Strategy


@final
@dataclass(frozen=True, kw_only=True)
class Halving(Strategy):
    """Measures what another strategy proposes on growing shares of the images; who falls behind is stopped.

    searcher   who proposes: a black-box strategy's name, or a mapping with `use:` and its options
    round      candidates that race against each other
    rungs      shares of the images: with 3 rungs and eta 3 they are 1/9, 1/3 and all
    eta        of those on a share of the images, the best 1/eta go on to the next
    """

    searcher: SearcherOptions = field(default="evolution", hash=False)
    round: Annotated[int, Field(ge=2)] = 27
    rungs: Annotated[int, Field(ge=2)] = 3
    eta: Annotated[int, Field(ge=2)] = 3

    examples = (
        {"trials": 150, "round": 9, "searcher": {"use": "evolution", "population": 20, "sample": 6}},
        {"trials": 150, "round": 8, "eta": 2, "rungs": 4, "searcher": {"use": "evolution", "population": 16}},
    )

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for several objectives, and for what the searcher refuses."""
        if len(problem.objectives) > 1:
            found = ", ".join(objective.metric for objective in problem.objectives)
            raise StrategyError(
                f"{problem.strategy}: found {len(problem.objectives)} objectives ({found}); one decides who goes on, "
                "such as objectives: {accuracy: max}"
            )
        proposing(self.searcher).check(problem)

    @override
    def search(self, problem: Problem) -> Iterator[Trial]:
        """Raises `StrategyError`, too, for a measure that cannot be stopped early."""
        self.check(problem)
        if not isinstance(problem.measure, Staged):
            raise StrategyError(f"{problem.strategy}: what measures here knows no shares of images to race on")
        return self._search(problem)

    def _search(self, problem: Problem) -> Iterator[Trial]:
        dispatcher = Dispatcher(proposing(self.searcher), problem, self.round)
        while not dispatcher.finished:
            known = len(problem.history)
            jobs = list(iter(dispatcher.next, None))
            yield from problem.history[known:]  # repeats of what was measured before
            if jobs:
                yield from self._race(problem, dispatcher, jobs)

    def _race(self, problem: Problem, dispatcher: Dispatcher, jobs: list[Job]) -> Iterator[Trial]:
        """All of a round that is not recorded: after a kill that is who was still running, and they run again. The
        recorded ones keep their places: how many may go on is counted with them.
        """
        first = jobs[0].number // self.round * self.round
        recorded = [t for t in problem.history if first <= t.number < first + self.round and not t.cached]
        shares = tuple(1 / self.eta**left for left in reversed(range(self.rungs)))
        assert isinstance(problem.measure, Staged)
        running = [_Candidate(job, problem.measure.stages(job.architecture, shares)) for job in jobs]
        places = len(recorded) + len(running)
        for share in shares:
            fit: list[_Candidate] = []
            for candidate in running:
                outcome = candidate.go_on(share)
                if outcome.error is None and share < 1:
                    fit.append(candidate)
                else:
                    yield from dispatcher.settle(candidate.job.number, outcome)
            places = max(1, places // self.eta)
            room = places - sum(trial.share > share for trial in recorded)
            ahead = sorted(fit, key=lambda candidate: candidate.loss(problem.objectives[0]))[:room]
            for candidate in fit:
                if candidate not in ahead:
                    yield from dispatcher.settle(candidate.job.number, candidate.outcome)
            running = [candidate for candidate in fit if candidate in ahead]


@final
class _Candidate:
    """One of a race: what was measured of it so far."""

    def __init__(self, job: Job, stages: Iterator[Mapping[str, Any]]) -> None:
        self.job, self._stages = job, stages
        self.outcome = Outcome({})

    def go_on(self, share: float) -> Outcome:
        """Measure on more images, until it has seen `share` of them."""
        found = Outcome.measured(lambda: next(self._stages))
        self.outcome = replace(found, share=share, seconds=self.outcome.seconds + found.seconds)
        return self.outcome

    def loss(self, objective: Objective) -> float:
        """Less is better."""
        value = self.outcome.metrics[objective.metric]
        return -value if objective.maximise else value
