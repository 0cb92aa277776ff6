"""Milliseconds of processor time per ask, for every black-box strategy, with 100 to 10,000 trials behind it and one to
three objectives; the packages' own part apart from ours.

The toy problem, and a made-up history: architectures drawn within 60 % of the MACs. A proposer is asked and told all of
it, as in a resumed search, and at each size for `ASKS` proposals of its own. Time in the functions of `THEIRS` is the
package's, less what these call back of `OURS`. Searches that would take minutes are measured up to where `LAST` says;
our part is the same function of the history for all samplers of a package.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import wraps
from typing import Any
from unittest.mock import patch

import numpy as np

from nas.errors import StrategyError
from nas.search import AskTell, Objective, Outcome, Proposer, Search, Trial, find
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.testing.toy import ACCURACY, MACS, Toy

SIZES = (100, 1_000, 10_000)
ASKS = 20
SLOW_ASKS = 3
"""Of those that stop early, since each takes seconds."""
OBJECTIVES = (ACCURACY, MACS, Objective("unrelated", maximise=False))
"""The first one, the first two, or all. The third is a random number, so that fronts are as large as can be."""
STRATEGIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "uniform": ("uniform", {}),
    "evolution": ("evolution", {}),
    "evolution, elite": ("evolution", {"parents": "elite"}),
    "optuna tpe": ("with_optuna", {"sampler": "tpe"}),
    "optuna gp": ("with_optuna", {"sampler": "gp"}),
    "optuna nsga2": ("with_optuna", {"sampler": "nsga2"}),
    "optuna nsga3": ("with_optuna", {"sampler": "nsga3"}),
    "optuna CmaEsSampler": ("with_optuna", {"sampler": "CmaEsSampler"}),
    "optuna QMCSampler": ("with_optuna", {"sampler": "QMCSampler"}),
    "optuna BruteForceSampler": ("with_optuna", {"sampler": "BruteForceSampler"}),
    "optuna RandomSampler": ("with_optuna", {"sampler": "RandomSampler"}),
    "nni regularized evolution": ("with_nni", {"sampler": "regularized_evolution"}),
    "nni tpe": ("with_nni", {"sampler": "tpe"}),
    "nni evolution": ("with_nni", {"sampler": "evolution"}),
    "nni random": ("with_nni", {"sampler": "random"}),
    "tune optuna": ("with_tune_search", {"algorithm": "optuna"}),
}
LAST = {"optuna gp": 1_000, "tune optuna": 1_000}
THEIRS = (
    "optuna.study.Study.ask",
    "optuna.study.Study.tell",
    "optuna.samplers.TPESampler.sample_relative",
    "optuna.samplers.GPSampler.sample_relative",
    "optuna.samplers.NSGAIISampler.sample_relative",
    "optuna.samplers.NSGAIIISampler.sample_relative",
    "optuna.samplers.CmaEsSampler.sample_relative",
    "optuna.samplers.QMCSampler.sample_relative",
    "optuna.samplers.BruteForceSampler.sample_relative",
    "nni.nas.strategy.evolution.RegularizedEvolution.initialize",
    "nni.nas.strategy.evolution.RegularizedEvolution.load_state_dict",
    "nni.nas.strategy.evolution.RegularizedEvolution.new_individual",
    "nni.algorithms.hpo.tpe_tuner.suggest",
    "nni.algorithms.hpo.random_tuner.suggest",
    "nni.algorithms.hpo.evolution_tuner.EvolutionTuner.generate_parameters",
    "ray.tune.search.optuna.OptunaSearch.suggest",
    "ray.tune.search.optuna.OptunaSearch.on_trial_complete",
)
OURS = (
    "nas.strategies.with_optuna.strategy._Feasible.sample_relative",
    "nas.strategies.with_optuna.strategy._Feasible._child",
)


def measure() -> Iterator[dict[str, object]]:
    for name, (use, options) in STRATEGIES.items():
        for count in range(1, len(OBJECTIVES) + 1):
            strategy = find(use)(trials=SIZES[-1] + 1 + ASKS, **options)
            assert isinstance(strategy, AskTell)
            search = _search(OBJECTIVES[:count], strategy.trials)
            try:
                strategy.check(search.problem)
            except StrategyError:
                continue  # takes one objective
            yield from _rows(f"{name}, {count} objective{'s' if count > 1 else ''}", strategy, search, LAST.get(name))


def _rows(what: str, strategy: AskTell, search: Search, last: int | None) -> Iterator[dict[str, object]]:
    proposer, history = strategy.proposer(search), _history(search)
    asks = ASKS if last is None else SLOW_ASKS
    replay = 0.0
    for size in (size for size in SIZES if last is None or size <= last):
        started = time.process_time()
        while len(search.history) < size:
            trial = history[len(search.history)]
            proposer.ask(trial.number, trial.architecture)
            search.learn(trial)
            proposer.tell(trial)
        replay += time.process_time() - started
        yield {"what": f"{what}, {size} trials: replay", "unit": "s of processor time", "value": round(replay, 2)}
        # What a resumed search does once, such as to sort all that it was told, is no part of the asks after it.
        first = _asked(search, proposer, 1)
        if size == SIZES[-1]:
            yield _row(f"{what}, {size} trials: ours, the first after a replay", first.seconds["ours"])
        watch = _asked(search, proposer, asks)
        yield _row(f"{what}, {size} trials: ours", watch.seconds["ours"] / asks)
        if watch.seconds["theirs"]:
            yield _row(f"{what}, {size} trials: the package's", watch.seconds["theirs"] / asks)


def _asked(search: Search, proposer: Proposer, asks: int) -> Watch:
    """The time of so many proposals."""
    watch = Watch()
    with watch.watching():
        for _ in range(asks):
            watch.enter("ours")
            answer = proposer.ask(len(search.history))
            watch.leave()
            trial = _settled(search, answer)
            watch.enter("ours")
            proposer.tell(trial)
            watch.leave()
    return watch


def _row(what: str, seconds: float) -> dict[str, object]:
    return {"what": what, "unit": "ms of processor time per ask", "value": round(1e3 * seconds, 3)}


def _search(objectives: Sequence[Objective], trials: int) -> Search:
    """Measuring is as good as free, since everything is told."""
    toy = Toy()
    return toy.search(trials=trials, limit=Limit(toy, macs="60%"), objectives=objectives)


def _history(search: Search) -> list[Trial]:
    """Trials of architectures drawn at random, made by a search of the same problem."""
    problem = search.problem
    maker = replace(search)
    table = problem.space.sample_table(np.random.default_rng(1), SIZES[-1], problem.limit)
    return [_settled(maker, architecture) for architecture in problem.space.from_table(table)]


def _settled(search: Search, architecture: Architecture) -> Trial:
    metrics = {**search.measure(architecture), "unrelated": int(architecture.digest, 16) / 16**12}
    return search.settle(len(search.history), architecture, Outcome(metrics))


class Watch:
    """Processor time of two sides that call each other: only the side that was entered last runs."""

    def __init__(self) -> None:
        self.seconds = {"ours": 0.0, "theirs": 0.0}
        self._sides: list[str] = []
        self._since = 0.0

    def enter(self, side: str) -> None:
        """This side runs from now on."""
        self._book()
        self._sides.append(side)

    def leave(self) -> None:
        """The side that was entered last has come to its end."""
        self._book()
        self._sides.pop()

    def watching(self) -> ExitStack:
        """While it lasts, calls of `THEIRS` and `OURS` change the side. What is not installed is not watched."""
        stack = ExitStack()
        for side, targets in (("theirs", THEIRS), ("ours", OURS)):
            for target in targets:
                try:
                    patcher = patch(target, autospec=False)
                    original, _ = patcher.get_original()
                except (ImportError, AttributeError):
                    continue
                stack.enter_context(patch(target, self._watched(original, side)))
        return stack

    def _watched(self, function: Callable[..., Any], side: str) -> Callable[..., Any]:
        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.enter(side)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        return watched

    def _book(self) -> None:
        now = time.process_time()
        if self._sides:
            self.seconds[self._sides[-1]] += now - self._since
        self._since = now
