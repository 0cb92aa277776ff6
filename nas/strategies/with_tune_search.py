"""Searchers that come with Ray Tune, by name: optuna, hyperopt, nevergrad and whatever else the installed Ray knows.

No Ray is started: a searcher is asked and told in this process, so that it works alone, and as the `searcher` of
`with_raytune` on a cluster. What it suggests is made to fit the limit, and it is told what was measured there. Every
start replays the history, with the seeds of then: a searcher that was lost is thus rebuilt as it was.
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, final

import numpy as np
from ray import tune
from ray.tune.search import SEARCH_ALG_IMPORT, Searcher
from typing_extensions import override

from nas.errors import StrategyError, nearest
from nas.search.feasible import draw, leader, near
from nas.search.problem import Problem
from nas.search.search import Search
from nas.search.strategy import AskTell, Proposer
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture
from nas.system.quiet import quiet

OURS = ("random", "variant_generator")
"""Tune's random search knows no limit; `uniform` does."""
SEVERAL = ("optuna",)
"""Searchers for several objectives."""
SEEDS = ("seed", "random_state_seed", "random_state")
"""What searchers call their seed. Those that have none draw from numpy's global generator."""
FIXED = ("space", "metric", "mode", *SEEDS)
"""Options that the study decides."""


@final
@dataclass(frozen=True, kw_only=True)
class WithTuneSearch(AskTell):
    """A searcher of Ray Tune proposes.

    algorithm   its name in Tune; its package must be installed too (optuna, hyperopt, nevergrad)
    options     arguments of its class, such as {n_initial_points: 10} for hyperopt or {optimizer: OnePlusOne} for
                nevergrad

    A searcher learns of what it has suggested alone: after a kill, it is asked again for all that is known, which for
    optuna takes 9 s at 1,000 trials, with two objectives 38 s. A proposal of it takes 3 ms at 100 trials and 12 ms at
    1,000, with two objectives 13 and 62 ms (`benchmarks/ask_time.py`).
    """

    algorithm: str = "optuna"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    examples = ({"trials": 60, "algorithm": "optuna"},)

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for a searcher that there is not, that does not take its options or several objectives,
        or whose package is not installed.
        """
        self.make(problem)

    @override
    def ask(self, search: Search, number: int) -> Architecture:
        """Rebuilds the searcher each time; a search keeps it."""
        return self.resumed(search).ask(number)

    @override
    def proposer(self, search: Search) -> Proposer:
        return _TuneProposer(self, search)

    def make(self, problem: Problem) -> Searcher:
        """A new searcher for the problem. Raises as `check` does."""
        kind, arguments = self._kind(), dict(self.options)
        takes = inspect.signature(kind).parameters
        allowed = [name for name in takes if name not in FIXED]
        if unknown := sorted(set(arguments) - set(allowed)):
            raise StrategyError(
                f"options of '{self.algorithm}': found {', '.join(unknown)}; allowed: {', '.join(allowed)}"
            )
        if len(problem.objectives) > 1 and self.algorithm not in SEVERAL:
            raise StrategyError(
                f"algorithm: found '{self.algorithm}' with {len(problem.objectives)} objectives; allowed: 1, or one of "
                f"{', '.join(SEVERAL)}"
            )
        arguments |= {name: problem.seed for name in SEEDS if name in takes}
        metric: Any = [objective.metric for objective in problem.objectives]
        mode: Any = ["max" if objective.maximise else "min" for objective in problem.objectives]
        if len(problem.objectives) == 1:
            (metric,), (mode,) = metric, mode
        space = {name: tune.choice(range(len(choice.values))) for name, choice in problem.space.items()}
        try:
            with _seeded(problem.rng(0)):
                searcher = kind(**_resolved(self.algorithm, arguments))
                searcher.set_search_properties(metric, mode, space)
        except (AssertionError, ImportError, TypeError, ValueError) as fault:
            reason = " ".join(str(fault).split())
            raise StrategyError(f"algorithm: found '{self.algorithm}' with {dict(self.options)}: {reason}") from fault
        return searcher

    def _kind(self) -> type[Searcher]:
        importers: Mapping[str, Any] = SEARCH_ALG_IMPORT
        if self.algorithm in OURS:
            raise StrategyError(f"algorithm: found '{self.algorithm}'; allowed: our 'uniform', which keeps the limit")
        if self.algorithm not in importers:
            known = sorted(set(importers) - set(OURS))
            hint = nearest(self.algorithm, known)
            raise StrategyError(f"algorithm: found '{self.algorithm}'; allowed: {', '.join(known)}{hint}")
        kind: type[Searcher] = importers[self.algorithm]()
        return kind


def _resolved(algorithm: str, options: dict[str, Any]) -> dict[str, Any]:
    """Nevergrad wants its optimizer as an object; YAML has names."""
    if algorithm == "nevergrad" and isinstance(name := options.get("optimizer"), str):
        registry: Mapping[str, Any] = import_module("nevergrad").optimizers.registry
        if name not in registry:
            raise ValueError(f"no optimizer '{name}'{nearest(name, registry)}")
        return {**options, "optimizer": registry[name]}
    return options


@final
class _TuneProposer(Proposer):
    """One searcher, asked and told trial by trial."""

    def __init__(self, strategy: WithTuneSearch, search: Search) -> None:
        super().__init__(strategy, search)
        self._searcher = strategy.make(search.problem)
        self._open: set[int] = set()
        """Trials that the searcher suggested and was not told about."""

    @override
    def ask(self, number: int, answer: Architecture | None = None) -> Architecture:
        # Asked in a replay as well, since a searcher remembers what it suggested.
        rng = self.problem.rng(number)
        with _seeded(rng):
            suggested = self._searcher.suggest(str(number))
        if not isinstance(suggested, Mapping):  # it waits for results, or has come to its end
            return answer or draw(self.search, rng)
        self._open.add(number)
        row = np.array([suggested[name] for name in self.problem.space], dtype=np.int64)
        return answer or near(self.search, row, rng, leader(self.search.standings.done, rng))

    @override
    def tell(self, trial: Trial) -> None:
        if trial.number not in self._open:
            return
        self._open.remove(trial.number)
        failed = trial.state == "failed"
        values = {} if failed else {o.metric: trial.value(o.metric) for o in self.problem.objectives}
        with _seeded(self.problem.rng(trial.number)):
            self._searcher.on_trial_complete(
                str(trial.number), None if failed else {**values, "training_iteration": 1}, error=failed
            )


@contextlib.contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    """Python's and numpy's global generators as `rng` says, and afterwards as they were; and no chatter meanwhile."""
    python, state = random.getstate(), np.random.get_state()  # noqa: NPY002
    seed = int(rng.integers(2**32))
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (searchers draw from it)
    try:
        with quiet():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(state)  # noqa: NPY002
