"""A race against the best so far: a candidate is measured part by part of the images, and stopped as soon as it can
hardly become the best any more.

Such races are old (Maron and Moore, Hoeffding races, NIPS 1993; Birattari et al., A racing algorithm for configuring
metaheuristics, GECCO 2002). Ours differs: candidates come one after the other, from another strategy; the test is
Student's t on the differences to the best, part by part, so that what is hard for both hides nothing; and it is about
these images alone, so that the fewer are left, the surer it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, final

import numpy as np
from scipy.special import stdtrit
from typing_extensions import override

from nas.documents.conditions import AtMost
from nas.errors import StrategyError
from nas.numbers import Unit, below, whole
from nas.search.problem import Problem
from nas.search.search import Search, Staged
from nas.search.searcher import SearcherOptions, proposing
from nas.search.strategy import Strategy
from nas.search.trial import PARTS, Outcome, Trial
from nas.searchspaces.architecture import Architecture


@final
@dataclass(frozen=True, kw_only=True)
class Racing(Strategy):
    """Measures what another strategy proposes, each on as many parts of the images as it takes to see that it loses.

    searcher     who proposes: a black-box strategy's name, or a mapping with `use:` and its options
    parts        into which the images are divided, in an order drawn from the seed
    least        parts that every candidate is measured on
    confidence   how sure it must be that a candidate would not have become the best: of all those that would have, at
                 most the rest is stopped (5 % at 0.95)
    """

    by_parts: ClassVar[bool] = True

    searcher: SearcherOptions = field(default="evolution", hash=False)
    parts: Annotated[int, whole(2, 1000), Unit("parts")] = 12
    least: Annotated[int, whole(2, 1000), Unit("parts"), AtMost("parts")] = 4
    confidence: Annotated[float, below(0.5, 1)] = 0.95

    examples = (
        {"trials": 150, "searcher": {"use": "evolution", "population": 20, "sample": 6}},
        {"trials": 150, "parts": 3, "least": 2, "searcher": {"use": "evolution", "population": 20, "sample": 6}},
    )

    @property
    @override
    def takes_prior(self) -> bool:
        return proposing(self.searcher).takes_prior

    @override
    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for several objectives, and for what the searcher refuses."""
        problem.require_one_objective("one decides who is the best")
        proposing(self.searcher).check(problem)

    @override
    def search(self, search: Search) -> Iterator[Trial]:
        """Raises `StrategyError`, too, for a measure that cannot be stopped early."""
        self.check(search.problem)
        if not isinstance(search.measure, Staged):
            raise StrategyError(f"{search.problem.strategy}: what measures here knows no parts of images to race on")
        return self._search(search)

    def _search(self, search: Search) -> Iterator[Trial]:
        proposer = proposing(self.searcher).resumed(search)
        for number in range(len(search.history), search.problem.trials):
            architecture = proposer.ask(number)
            search.accept(architecture)
            outcome, values = search.recall(architecture), list[float]()
            if outcome is None:
                search.begin(number, architecture)
                outcome, values = self._race(search, architecture)
            # With its parts in the table, the best is the same rival after a kill.
            trial = search.settle(number, architecture, outcome, {PARTS: values} if values else {})
            proposer.tell(trial)
            yield trial

    def _race(self, search: Search, architecture: Architecture) -> tuple[Outcome, list[float]]:
        """What came of a candidate, and the objective's value on each part that it saw."""
        assert isinstance(search.measure, Staged)
        objective, rival = search.problem.objectives[0], self._rival(search)
        stages = search.measure.stages(architecture, tuple(count / self.parts for count in range(1, self.parts + 1)))
        outcome, values = Outcome({}), list[float]()
        for count in range(1, self.parts + 1):
            stage = Outcome.measured(lambda: next(stages))
            outcome = replace(stage, share=count / self.parts, seconds=outcome.seconds + stage.seconds)
            if objective.metric not in outcome.metrics:  # a failure, or no metric at all: `settle` says which
                break
            # What is measured is the mean over all parts so far; the last one's is what it adds to their sum.
            values.append(count * outcome.metrics[objective.metric] - sum(values))
            if rival and self.least <= count < self.parts:
                gains = np.subtract(values, rival[:count]) * (1 if objective.maximise else -1)
                if self._loses(gains):
                    break
        return outcome, values

    def _rival(self, search: Search) -> Sequence[float]:
        """The parts of the best so far, of those that were measured here and on all of them; empty for none."""
        rivals = (trial.parts for trial in search.standings.done if len(trial.parts) == self.parts)
        return next(rivals, ())

    def _loses(self, gains: np.ndarray) -> bool:
        """Whether a candidate that is ahead by `gains` on the parts so far is certain to be behind on all of them."""
        seen = len(gains)
        # The error is shared out to all looks, of which each may be the one that goes wrong.
        error = (1 - self.confidence) / (self.parts - self.least)
        # The fewer parts are left, the less the mean can still change: none of all parts is drawn twice.
        left = 1 - seen / self.parts
        most = gains.mean() + stdtrit(seen - 1, 1 - error) * gains.std(ddof=1) * np.sqrt(left / seen)
        return bool(most < 0)
