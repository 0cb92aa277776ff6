"""Optuna's samplers: TPE, a Gaussian process, NSGA-II and III, and the others by their names. Our table of trials is
the truth; the study that samplers learn from lives in memory only.

Every start replays the history through the same ask and tell that a running search uses, so a rebuilt study is the
study that was lost. The sampler is made anew for every trial, seeded by `problem.rng(number)`: a fresh sampler with
the old seed would propose what has been seen already.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from pydantic import AfterValidator, Field
from typing_extensions import override

from nas.documents.conditions import Is, ReadWith
from nas.documents.markers import JournalOrUrl
from nas.errors import SpaceError, StrategyError
from nas.foreign import named
from nas.numbers import Population, Trials
from nas.search.feasible import draw, leader, near, tournament
from nas.search.problem import Problem
from nas.search.ranking import best_first, to_minimise
from nas.search.search import Search
from nas.search.standings import Ranking
from nas.search.strategy import AskTell, Proposer
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture
from nas.strategies.with_optuna import study
from nas.strategies.with_optuna.generations import Generations
from nas.strategies.with_optuna.samplers import Sampling, quiet, sampling
from nas.strategies.with_optuna.study import StoredStudy, Topic, directions


def _known(sampler: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    """For pydantic: raises `ValueError` for a sampler that there is not."""
    sampling(sampler)
    return sampler


@final
@dataclass(frozen=True, kw_only=True)
class WithOptuna(AskTell):
    """Optuna proposes; what does not fit the limit is moved to the nearest architecture that does, and told to Optuna
    as it was measured.

    sampler      tpe (multivariate; up to some hundred trials), gp (best per trial, seconds per proposal: for
                 measurements that take longer than that), nsga2 (from some hundred trials, and for several objectives)
                 or nsga3 (for three objectives and more); or a class of `optuna.samplers`, also as a mapping with
                 `use:` and its options, such as {use: QMCSampler, qmc_type: halton}. What a sampler does not propose
                 as a whole is drawn uniformly within the limit: all that RandomSampler does, the first trials of others
    startup      trials drawn uniformly within the limit before tpe and gp begin to model
    population   of nsga2 and nsga3; the first generation is drawn likewise
    storage      URL of a database, or path of a journal (.log, .journal), where every trial is written when it is
                 known, for optuna-dashboard. It is completed from our table after a kill
    study        a study in the storage that several runs share: each learns from the trials of all, and leaves to the
                 others what they have measured. What a run proposes then depends on who was faster, so no two such
                 searches are alike. Measurements are not shared: those of others were made on other weights

    What Optuna itself needs for a proposal grows with the history for some samplers: tpe takes 3 ms at 100 trials, 9 ms
    at 1,000 and 79 ms at 10,000 (103 and 168 ms with two and three objectives), CmaEsSampler 15 ms at 10,000, gp 0.2 s
    at 100 and 5.6 s at 1,000 (10 and 20 s). After a kill, telling 10,000 trials again takes some 10 s, and CmaEsSampler
    90 s (`benchmarks/ask_time.py`).

    Trials of earlier runs (`Problem.prior`) are told before the first proposal, as if they were the search's own; for
    NSGA they are its first generations.
    """

    sampler: Annotated[str | Mapping[str, Any], AfterValidator(_known)] = "tpe"
    startup: Annotated[Trials, ReadWith(Is("sampler", "tpe", "gp"))] = 10
    population: Annotated[Population, ReadWith(Is("sampler", "nsga2", "nsga3"))] = 20
    storage: Annotated[str, Field(min_length=1), JournalOrUrl()] | None = None
    study: Annotated[str, AfterValidator(named)] | None = None

    examples = (
        {"trials": 150, "sampler": "tpe"},
        {"trials": 40, "sampler": "gp", "startup": 16},
        {"trials": 150, "sampler": "nsga2", "population": 12},
        {"trials": 150, "sampler": "nsga3", "population": 12},
        {"trials": 150, "sampler": {"use": "NSGAIISampler", "population_size": 12}},
    )

    @property
    @override
    def takes_prior(self) -> bool:
        return True

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for a sampler that cannot search the problem, `StoreError` for a storage that does not
        answer, or whose study is about something else.
        """
        chosen = self.sampling()
        try:
            chosen.rehearse(directions(problem.objectives))
        except ValueError as fault:
            raise StrategyError(
                f"{chosen.name} with {len(problem.objectives)} objectives ({fault}); allowed: tpe, gp, nsga2, nsga3"
            ) from fault
        if self.storage is not None:
            study.check(self.storage, self.topic(problem))
        elif self.study is not None:
            raise StrategyError(f"study '{self.study}' without a storage; allowed: both, or no study")

    def sampling(self) -> Sampling:
        """The sampler with its options."""
        return sampling(self.sampler, self.startup, self.population)

    def topic(self, problem: Problem) -> Topic:
        """What the study in the storage is about."""
        return Topic(
            run=problem.run,
            strategy=problem.strategy,
            objectives=problem.objectives,
            choices={name: choice.values for name, choice in problem.space.items()},
            bounds=problem.limit.bounds if problem.limit else {},
            study=self.study,
        )

    @override
    def ask(self, search: Search, number: int) -> Architecture:
        """Rebuilds the study each time; a search keeps it."""
        return self.resumed(search).ask(number)

    @override
    def proposer(self, search: Search) -> Proposer:
        return _StudyProposer(self, search)


@final
class _StudyProposer(Proposer):
    """One in-memory study, asked and told trial by trial; and the one in the storage, if there is one.

    A study is not saved for a resumed search, it is replayed: `AskTell.resumed` asks again for all that the history
    holds, with the answers of then, and tells again what came of them.
    """

    def __init__(self, options: WithOptuna, search: Search) -> None:
        super().__init__(options, search)
        self._shared = options.study is not None
        self._asked: dict[int, optuna.Trial] = {}
        self._feasible = _Feasible(options.sampling(), search)
        with quiet():
            self._study = optuna.create_study(sampler=self._feasible, directions=directions(self.problem.objectives))
        self._stored = StoredStudy(options.storage, options.topic(self.problem)) if options.storage else None
        for trial in self.problem.prior:
            self._hear(trial)

    @override
    def ask(self, number: int, answer: Architecture | None = None) -> Architecture:
        if self._shared and answer is None:
            self._listen()
        rng = self.problem.rng(number)
        if self._shared:
            # Runs of one study may have one seed, and must not propose the same: their names tell them apart. From 2
            # on, since `_hear` has 1.
            own = zlib.crc32(self.problem.run.encode()) + 2
            rng = np.random.default_rng((self.problem.seed, number, own))
        self._asked[number] = self._ask(rng, answer)
        return self._feasible.answer

    @override
    def tell(self, trial: Trial) -> None:
        self._tell(self._asked.pop(trial.number), trial)
        if self._stored is not None:
            self._stored.add(trial)

    def _listen(self) -> None:
        """Learn what other runs have measured of what this one might propose, and leave it to them."""
        assert self._stored is not None, "`check` refuses a study without a storage"
        problem = self.problem
        for architecture, values in self._stored.others():
            try:
                problem.space.check(architecture)
            except SpaceError:
                continue
            if problem.allows(architecture):
                self.search.elsewhere.add(architecture.digest)
                costs = dict(self.search.counts(architecture))
                self._hear(Trial(0, architecture, values, costs, problem.strategy, problem.seed, 0.0))

    def _hear(self, trial: Trial) -> None:
        """Learn from a trial that is not of this search."""
        rng = np.random.default_rng((self.problem.seed, len(self._feasible.trials), 1))
        self._tell(self._ask(rng, trial.architecture), trial)

    def _ask(self, rng: np.random.Generator, answer: Architecture | None) -> optuna.Trial:
        self._feasible.begin(rng, answer)
        with quiet():
            return self._study.ask(self._feasible.distributions)

    def _tell(self, asked: optuna.Trial, trial: Trial) -> None:
        self._feasible.learn(asked.number, trial)
        with quiet():
            if trial.state == "failed":
                told = self._study.tell(asked, state=TrialState.FAIL)
            else:
                told = self._study.tell(asked, [trial.value(o.metric) for o in self.problem.objectives])
        self._feasible.generations.learn(told)


@final
class _Feasible(BaseSampler):
    """What Optuna takes for the study's sampler. It asks the one that the user chose, makes the proposal fit the limit,
    and answers with that: so Optuna notes as proposed what is measured, and learns of no other architecture.

    Optuna asks a sampler in two ways: for parameters that belong together (`infer_relative_search_space`, then
    `sample_relative`), and for every other one by itself (`sample_independent`). Here all belong together. Parameters
    are indices of values; a choice of one value is none.
    """

    def __init__(self, chosen: Sampling, search: Search) -> None:
        self.generations = Generations(chosen.population)
        self._chosen = chosen.keeping(self.generations)
        self._search, self._problem = search, search.problem
        self.trials: dict[int, Trial] = {}
        """Those told, by Optuna's number."""
        self._done = Ranking(search.problem.objectives)
        self.answer: Architecture
        """What the last ask came to."""
        problem = search.problem
        counts = {name: len(choice.values) for name, choice in problem.space.items() if len(choice.values) > 1}
        self.distributions: dict[str, BaseDistribution] = {name: chosen.distribution(n) for name, n in counts.items()}

    def begin(self, rng: np.random.Generator, answer: Architecture | None) -> None:
        """Set up the next ask, with a generator and a sampler of its own, so that nothing that came before can change
        it.
        """
        self._rng = rng
        self._replayed = answer
        if not self.distributions:  # Optuna then asks nobody
            self.answer = self._problem.space.largest

    def learn(self, number: int, trial: Trial) -> None:
        """What came of Optuna's trial of this number."""
        self.trials[number] = trial
        if trial.state == "done":
            self._done.add(trial)

    def infer_relative_search_space(self, *_: Any, **__: Any) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._replayed is None:
            params = self._ask_inner(study, trial, search_space)
            self.answer = self._near(params) if params else draw(self._search, self._rng)
        else:
            self.answer = self._replayed
            if self._notes(trial):
                self._ask_inner(study, trial, search_space)
        row = self._problem.space.to_table([self.answer])[0]
        return {name: int(value) for name, value in zip(self._problem.space, row, strict=True) if name in search_space}

    def sample_independent(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("every parameter is in the relative search space")

    def _notes(self, trial: FrozenTrial) -> bool:
        """Whether a sampler whose answer is known is asked all the same, in vain. Some note in the study what they were
        asked, and would go on otherwise without these notes. Genetic ones choose the parents of a generation.
        """
        if self._chosen.genetic:
            return not self.generations.begun(self.generations.of(trial.number))
        return not self._chosen.forgetful

    def _near(self, params: Mapping[str, int]) -> Architecture:
        """The sampler's proposal made to fit, and new."""
        problem, rng = self._problem, self._rng
        row = np.array([params.get(name, 0) for name in problem.space], dtype=np.int64)
        return near(self._search, row, rng, leader(self._done, rng))

    def _ask_inner(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Mapping[str, int]:
        """The raw proposal, or nothing while the sampler has too few trials to learn from."""
        seed = int(self._rng.integers(2**31))
        hooks = {"child_generation_strategy": self._child} if self._chosen.breeds else {}
        inner = self._chosen.make(self._problem.seed if self._chosen.steady else seed, **hooks)
        return inner.sample_relative(study, trial, search_space)

    def _child(self, _study: Study, _space: dict[str, BaseDistribution], parents: list[FrozenTrial]) -> dict[str, Any]:
        """NSGA's hook: uniform crossover of two parents chosen by binary tournament, then mutation; `_near` makes it
        fit.
        """
        if self._replayed is not None:
            return {}  # asked in vain, see `sample_relative`
        problem, rng = self._problem, self._rng
        # By their numbers: the order in which Optuna gives them differs between the first child of a generation and the
        # others, and between a search and its replay.
        family = [self.trials[parent.number] for parent in sorted(parents, key=lambda parent: parent.number)]
        ranked = [family[index] for index in best_first(to_minimise(family, problem.objectives))]
        mother, father = (tournament(ranked, 2, rng).architecture for _ in range(2))
        child = problem.space.mutate(problem.space.crossover(mother, father, rng), rng, 1 / len(problem.space))
        return dict(zip(problem.space, map(int, problem.space.to_table([child])[0]), strict=True))
