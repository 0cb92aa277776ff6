"""NNI's searchers: regularised evolution, a tree-structured Parzen estimator, naive evolution, random.

They propose in this process. Our table of trials is the truth: what NNI needs to know is made of the history for each
proposal, or (its estimator and its naive evolution) kept for a search and replayed after a kill. NNI's run-loops are
not run: what they call for the next candidate is called instead. Only `mode: experiment` starts NNI's manager, see
`nni_experiment`.
"""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Any, Literal, final

import numpy as np
from nni.algorithms.hpo import evolution_tuner, random_tuner, tpe_tuner
from nni.common.hpo_utils import format_search_space
from typing_extensions import override

from nas.documents.conditions import AtMost, Is, ReadWith
from nas.errors import StrategyError
from nas.numbers import Population, Share, Trials
from nas.search.feasible import draw, leader, near
from nas.search.problem import Problem
from nas.search.ranking import to_minimise
from nas.search.search import Search
from nas.search.strategy import AskTell, Proposer
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture
from nas.strategies._nni_experiment import Experiment, trials_of

REGULARIZED = ReadWith(Is("sampler", "regularized_evolution"))


@final
@dataclass(frozen=True, kw_only=True)
class WithNni(AskTell):
    """NNI proposes; what does not fit the limit is moved to the nearest architecture that does, and NNI learns of that
    one. One objective.

    sampler      regularized_evolution (nni.nas's, the best of them), tpe, evolution (naive), random
    startup      trials drawn uniformly within the limit before tpe begins to model
    population   of both evolutions; as many trials are drawn likewise first
    sample       a parent of regularised evolution is the best of so many of the population
    mutation     probability with which regularised evolution redraws a choice; by default one per child, on average
    crossover    give its children two parents
    mode         search: candidates are measured on the supernet. experiment: NNI's manager, with its web page, runs a
                 process per candidate, which trains it; for trials that are long
    experiment   see `Experiment`

    What NNI itself needs for a proposal of tpe grows with the history: 1 ms at 100 trials, 4 ms at 1,000, 64 ms at
    10,000 (`benchmarks/ask_time.py`); the others stay below one.
    """

    sampler: Literal["regularized_evolution", "tpe", "evolution", "random"] = "regularized_evolution"
    startup: Annotated[Trials, ReadWith(Is("sampler", "tpe"))] = 20
    population: Annotated[Population, ReadWith(Is("sampler", "regularized_evolution", "evolution"))] = 50
    sample: Annotated[Trials, REGULARIZED, AtMost("population")] = 10
    mutation: Annotated[Share | None, REGULARIZED] = None
    crossover: Annotated[bool, REGULARIZED] = False
    mode: Literal["search", "experiment"] = "search"
    experiment: Annotated[Experiment, ReadWith(Is("mode", "experiment"))] = field(default_factory=Experiment)

    examples = (
        {"trials": 80, "population": 20, "sample": 6},
        {"trials": 80, "sampler": "tpe"},
        {"trials": 80, "sampler": "evolution", "population": 20},
    )

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for several objectives, or where a package is missing that NNI needs but does not ask
        for.
        """
        if len(problem.objectives) > 1:
            raise StrategyError(
                f"{problem.strategy}: found {len(problem.objectives)} objectives, but NNI's searchers take one; "
                "allowed: one, such as --set 'objectives={accuracy: max}', or strategies/nsga2.yaml"
            )
        if self.sampler == "regularized_evolution" and find_spec("pytorch_lightning") is None:
            raise StrategyError(
                f"{problem.strategy}: nni.nas needs the package 'pytorch_lightning', which is not installed: "
                "pip install 'nas[nni]'"
            )

    @property
    @override
    def measures(self) -> bool:
        return self.mode == "experiment"

    @override
    def search(self, search: Search) -> Iterator[Trial]:
        if self.mode == "search":
            return super().search(search)
        self.check(search.problem)
        return trials_of(self.experiment, self, search)

    @override
    def ask(self, search: Search, number: int) -> Architecture:
        """Two samplers remember: they are rebuilt each time, and kept for a search."""
        if self.sampler in PROPOSERS:
            return self.resumed(search).ask(number)
        rng = search.problem.rng(number)
        if self.sampler == "random":
            return near(search, _random(search.problem, rng), rng)
        ranked = search.standings.done
        if len(ranked) < self.population:
            return draw(search, rng)
        with _quiet():
            row = _regularized(self, search, rng)
        return near(search, row, rng, leader(ranked, rng))

    @override
    def proposer(self, search: Search) -> Proposer:
        return PROPOSERS.get(self.sampler, Proposer)(self, search)


def _regularized(options: WithNni, search: Search, rng: np.random.Generator) -> np.ndarray:
    """A child of the youngest trials, the population of regularised evolution."""
    problem = search.problem
    # Here, since it takes seconds: nni.nas loads torch and Lightning.
    from nni.mutable import Categorical, MutableDict
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.strategy.evolution import Individual, RegularizedEvolution

    strategy = RegularizedEvolution(
        population_size=options.population,
        sample_size=min(options.sample, options.population),
        mutation_prob=1 / len(problem.space) if options.mutation is None else options.mutation,
        crossover=options.crossover,
        dedup=False,
    )
    choices = {name: Categorical(spec["_value"], label=name) for name, spec in _choices(problem).items()}
    strategy.initialize(MutableDict(choices), SequentialExecutionEngine())
    young = search.youngest(options.population, "done")
    individuals = [Individual(_named(problem, trial), _fitness(problem, trial)) for trial in young]
    state = np.random.RandomState(int(rng.integers(2**32))).get_state()
    strategy.load_state_dict(
        {"population": individuals, "individual_counter": len(search.standings.done), "random_state": state}
    )
    return _row(strategy.new_individual())


def _random(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    """Drawn uniformly from the whole space, whatever the limit."""
    with _quiet():
        space = format_search_space(_choices(problem))
        return _row({key[0]: value for key, value in random_tuner.suggest(rng, space).items()})


@final
class _Estimator(Proposer):
    """NNI's tree-structured Parzen estimator, with the history as it wants it: by choice.

    A proposal is one draw from the density of good trials. By default NNI takes the best of 24. Where a choice has few
    values that is the same one again and again, and NNI's tuner then walks a grid instead: it got worse than random.
    """

    def __init__(self, options: WithNni, search: Search) -> None:
        super().__init__(options, search)
        self._first = options.startup
        self._arguments = tpe_tuner.TpeArguments(n_startup_jobs=0, n_ei_candidates=1, gamma=1.0)
        self._space = format_search_space(_choices(self.problem))
        self._records: dict[Any, list[tpe_tuner.Record]] = {key: [] for key in self._space}

    @override
    def ask(self, number: int, answer: Architecture | None = None) -> Architecture:
        if answer is not None:
            return answer
        rng, ranked = self.problem.rng(number), self.search.standings.done
        if len(ranked) < self._first:
            return draw(self.search, rng)
        with _quiet():
            sample = tpe_tuner.suggest(self._arguments, rng, self._space, self._records)
        row = _row({key[0]: value for key, value in sample.items()})
        return near(self.search, row, rng, leader(ranked, rng))

    @override
    def tell(self, trial: Trial) -> None:
        if trial.state == "done":
            values = self.problem.space.to_table([trial.architecture])[0].tolist()
            for records, value in zip(self._records.values(), values, strict=True):
                records.append(tpe_tuner.Record(value, -_fitness(self.problem, trial)))


@final
class _Population(Proposer):
    """NNI's `EvolutionTuner`, with its population: asked and told trial by trial."""

    def __init__(self, options: WithNni, search: Search) -> None:
        super().__init__(options, search)
        self._first = options.population
        self._done = 0
        with _quiet():
            self._tuner = evolution_tuner.EvolutionTuner("maximize", options.population)
            self._tuner.update_search_space(_choices(self.problem))
        self._tuner.population.clear()  # its own one has no seed; ours comes from the first trials

    @override
    def ask(self, number: int, answer: Architecture | None = None) -> Architecture:
        """The tuner is asked in a replay as well, since that takes from its population."""
        rng = self.problem.rng(number)
        if self._done < self._first or not self._tuner.population:
            return draw(self.search, rng) if answer is None else answer
        with _quiet(), self._seeded(rng):
            proposal = self._tuner.generate_parameters(number)
        if answer is not None:
            return answer
        return near(self.search, _row(proposal), rng, leader(self.search.standings.done, rng))

    @override
    def tell(self, trial: Trial) -> None:
        """The tuner learns of what was measured in place of its proposal; of a failure, so that it
        tries a random one next.
        """
        running = trial.number in self._tuner.running_trials
        if trial.state != "failed":
            self._done += 1
            self._tuner.running_trials.pop(trial.number, None)
            config = {name: {"_index": i, "_value": i} for name, i in _named(self.problem, trial).items()}
            fitness = _fitness(self.problem, trial)
            self._tuner.population.append(evolution_tuner.Individual(config=config, result=fitness))
        elif running:
            with _quiet(), self._seeded(self.problem.rng(trial.number)):
                self._tuner.trial_end(trial.number, success=False)

    @contextmanager
    def _seeded(self, rng: np.random.Generator) -> Iterator[None]:
        """The tuner draws from a generator of its own, and from Python's global one."""
        before = random.getstate()
        self._tuner.random_state = np.random.RandomState(int(rng.integers(2**32)))
        random.seed(int(rng.integers(2**32)))
        try:
            yield
        finally:
            random.setstate(before)


PROPOSERS: Mapping[str, Callable[[WithNni, Search], Proposer]] = {"tpe": _Estimator, "evolution": _Population}
"""Those that keep something for a search. The others make what they need of the history for each proposal."""


def _choices(problem: Problem) -> dict[str, dict[str, Any]]:
    """The space in NNI's words. Choices are named by their positions, since NNI takes not every name, and their values
    are indices.
    """
    counts = [len(choice.values) for choice in problem.space.values()]
    return {str(position): {"_type": "choice", "_value": list(range(n))} for position, n in enumerate(counts)}


def _named(problem: Problem, trial: Trial) -> dict[str, int]:
    """A trial's architecture in the words of `_choices`."""
    row = problem.space.to_table([trial.architecture])[0]
    return {str(position): int(value) for position, value in enumerate(row)}


def _row(sample: Mapping[str, int]) -> np.ndarray:
    """Back from the words of `_choices`."""
    return np.array([sample[str(position)] for position in range(len(sample))], dtype=np.int64)


def _fitness(problem: Problem, trial: Trial) -> float:
    """More is better."""
    return -float(to_minimise([trial], problem.objectives)[0, 0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNI from printing to stdout, and from warning that it does not know this version of torch."""
    logger = logging.getLogger("nni")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
