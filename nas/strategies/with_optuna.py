"""Optuna's samplers: multivariate TPE, a Gaussian process, NSGA-II. Our table of trials is the truth; Optuna's study
lives in memory only.

Every start replays the history through the same ask and tell that a running search uses, so a rebuilt study is the
study that was lost. The sampler is made anew for every trial, seeded by `problem.rng(number)`: a fresh sampler with
the old seed would propose what has been seen already.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field

from nas.searchspaces.architecture import Architecture
from nas.strategies.base import AskTell, Proposer
from nas.strategies.feasible import draw, first_unseen, fit, tournament
from nas.strategies.problem import Problem, Trial, losses
from nas.strategies.ranking import best_first

TRIES = 8
"""Proposals at most until one is new: samplers do not mind proposing what they have seen."""


@final
@dataclass(frozen=True, kw_only=True)
class WithOptuna(AskTell):
    """Optuna proposes; what does not fit the limit is moved to the nearest architecture that does, and told to Optuna
    as it was measured.

    `sampler`: tpe (multivariate; up to some hundred trials), gp (best per trial, seconds per proposal: for
    measurements that take longer than that), nsga2 (from some hundred trials, and for several objectives). `startup`
    trials are drawn uniformly within the limit before tpe and gp begin to model. `population` is NSGA-II's, its first
    generation drawn likewise.
    """

    sampler: Literal["tpe", "gp", "nsga2"] = "tpe"
    startup: Annotated[int, Field(ge=1)] = 10
    population: Annotated[int, Field(ge=2)] = 20

    examples = (
        {"trials": 150, "sampler": "tpe"},
        {"trials": 40, "sampler": "gp", "startup": 16},
        {"trials": 150, "sampler": "nsga2", "population": 12},
    )

    def ask(self, problem: Problem, number: int) -> Architecture:
        """See `AskTell.ask`. Rebuilds the study each time; a search keeps it."""
        return self.resumed(problem).ask(number)

    def proposer(self, problem: Problem) -> Proposer:
        """See `AskTell.proposer`."""
        return _Session(self, problem)


@final
class _Session(Proposer):
    """One in-memory study, asked and told trial by trial."""

    def __init__(self, options: WithOptuna, problem: Problem) -> None:
        super().__init__(options, problem)
        self._asked: dict[int, optuna.Trial] = {}
        self._feasible = _Feasible(options, problem)
        directions = [StudyDirection.MAXIMIZE if o.maximise else StudyDirection.MINIMIZE for o in problem.objectives]
        with _quiet():
            self._study = optuna.create_study(sampler=self._feasible, directions=directions)

    def ask(self, number: int, answer: Architecture | None = None) -> Architecture:
        """See `Proposer.ask`."""
        self._feasible.begin(number, answer)
        with _quiet():
            self._asked[number] = self._study.ask(self._feasible.distributions)
        return self._feasible.answer

    def tell(self, trial: Trial) -> None:
        """See `Proposer.tell`."""
        asked = self._asked.pop(trial.number)
        self._feasible.trials[asked.number] = trial
        with _quiet():
            if trial.state == "failed":
                self._study.tell(asked, state=TrialState.FAIL)
            else:
                self._study.tell(asked, [trial.value(o.metric) for o in self.problem.objectives])


@final
class _Feasible(BaseSampler):
    """Asks another sampler, and answers with the nearest architecture within the limit. Its parameters are indices of
    values.
    """

    def __init__(self, options: WithOptuna, problem: Problem) -> None:
        self._options = options
        self._problem = problem
        self.trials: dict[int, Trial] = {}
        """Ours, by Optuna's number."""
        counts = {name: len(choice.values) for name, choice in problem.space.items() if len(choice.values) > 1}
        self.distributions: dict[str, BaseDistribution] = {name: self._distribution(n) for name, n in counts.items()}

    def _distribution(self, n: int) -> BaseDistribution:
        """Indices below `n`: ordered numbers for a GP, categories for the others.

        Measured as regret on 24 choices of a toy ViT: GP 3.8 points as numbers, 7.5 as categories (60 trials, 3 seeds);
        TPE 3.4 and 2.2 (200 trials, 6 seeds). NSGA-II takes no notice.
        """
        return IntDistribution(0, n - 1) if self._options.sampler == "gp" else CategoricalDistribution(range(n))

    def begin(self, number: int, answer: Architecture | None) -> None:
        """Set up the next ask, with a generator and a sampler of its own, so that nothing that came before can change
        it.
        """
        self._rng = self._problem.rng(number)
        self._replayed = answer
        if not self.distributions:  # Optuna then asks nobody
            self.answer = self._problem.space.largest

    def infer_relative_search_space(self, *_: Any, **__: Any) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._replayed is None:
            params = self._ask_inner(study, trial, search_space)
            self.answer = self._near(params) if params else draw(self._problem, self._rng)
        else:
            self.answer = self._replayed
            if self._options.sampler == "nsga2":  # it notes the generation of a trial when it is asked
                self._ask_inner(study, trial, search_space)
        row = self._problem.space.to_table([self.answer])[0]
        return {name: int(at) for name, at in zip(self._problem.space, row, strict=True) if name in search_space}

    def sample_independent(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("every parameter is in the relative search space")

    def _near(self, params: Mapping[str, int]) -> Architecture:
        """The sampler's proposal made to fit; when it was seen before, one of its mutations.

        Samplers are not told the limit: the better they learn, the more they propose what is too large. So where a
        proposal is moved to decides the search, and it is moved toward one of the best quarter of the trials.
        """
        problem, rng = self._problem, self._rng
        done = [trial for trial in problem.history if trial.state == "done"]
        order = best_first(losses(done, problem.objectives))
        lead = done[order[int(rng.integers(1 + len(done) // 4))]].architecture
        row = np.array([params.get(name, 0) for name in problem.space], dtype=np.int64)
        proposal = fit(problem, row, rng, toward=lead)
        if not problem.seen(proposal):
            return proposal
        rate = 1 / len(problem.space)
        return first_unseen(
            problem, lambda: fit(problem, problem.space.mutate(proposal, rng, rate), rng, toward=lead), TRIES
        )

    def _ask_inner(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Mapping[str, int]:
        """The raw proposal, or nothing while the sampler has too few trials to learn from."""
        seed, options = int(self._rng.integers(2**31)), self._options
        inner: BaseSampler
        if options.sampler == "tpe":
            # By default several objectives get a univariate TPE: the slowest and worst sampler measured.
            inner = TPESampler(seed=seed, n_startup_trials=options.startup, multivariate=True, constant_liar=False)
        elif options.sampler == "gp":
            inner = GPSampler(seed=seed, n_startup_trials=options.startup, deterministic_objective=True)
        else:
            inner = NSGAIISampler(seed=seed, population_size=options.population, child_generation_strategy=self._child)
        return inner.sample_relative(study, trial, search_space)

    def _child(self, _study: Study, _space: dict[str, BaseDistribution], parents: list[FrozenTrial]) -> dict[str, Any]:
        """NSGA-II's hook: uniform crossover of two parents chosen by binary tournament, then mutation; `_near` makes it
        fit.
        """
        if self._replayed is not None:
            return {}
        problem, rng = self._problem, self._rng
        family = [self.trials[parent.number] for parent in sorted(parents, key=lambda parent: parent.number)]
        order = best_first(losses(family, problem.objectives))
        mother, father = (family[tournament(order, 2, rng)].architecture for _ in range(2))
        child = problem.space.mutate(problem.space.crossover(mother, father, rng), rng, 1 / len(problem.space))
        return dict(zip(problem.space, map(int, problem.space.to_table([child])[0]), strict=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from printing, and from warning that hooks we use on purpose are experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
