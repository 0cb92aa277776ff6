"""`StrategySuite`: what every black-box strategy must hold, on a toy problem with a known optimum.

It finds the strategies of the plug-in folder, and the entry points, by itself. To test strategies of your own,
inherit it:

class TestMine(StrategySuite):
strategies = (Mine(trials=100),)
"""

from __future__ import annotations

import atexit
import dataclasses
import importlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest

from nas.errors import StrategyError
from nas.search import Objective, Strategy, Trial, find, installed, name_of, winner
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.testing.toy import ACCURACY, COUPLED, MACS, PLAIN, TINY, Steady, Toy

TRIALS = 28
CONTINUE = 6
"""Trials compared after a kill; enough, since each depends on all before it."""
SEEDS = (0, 1, 2)


def all_strategies() -> list[Strategy]:
    """Every black-box strategy that is installed, once per entry of its `examples`. Those whose package is missing are
    left out.
    """
    kinds = (kind for kind in installed().values() if not kind.needs_supernet)
    return [kind(**options) for kind in kinds for options in kind.examples]


@cache
def within_limit(text: str) -> tuple[Toy, Limit]:
    """The toy problem of a search space (YAML text), and the limit of 60 % of its MACs."""
    toy = Toy(text)
    return toy, Limit(toy, macs="60%")


@cache
def uniform_regret(trials: int) -> float:
    """Mean regret of uniform random search over `SEEDS`, in accuracy (share of 1)."""
    return regret(find("uniform")(trials=trials))


def regret(strategy: Strategy) -> float:
    """Best accuracy there is, less the best found in `strategy.trials` trials; mean over `SEEDS`."""
    toy, limit = within_limit(PLAIN)
    best = []
    for seed in SEEDS:
        trials = list(strategy.search(toy.search(trials=strategy.trials, seed=seed, limit=limit)))
        best.append(winner(trials, [ACCURACY], limit).value("accuracy"))
    return optimum() - float(np.mean(best))


@cache
def optimum() -> float:
    """The best accuracy within the limit of the plain toy problem."""
    toy, limit = within_limit(PLAIN)
    return toy.best(limit)


def trials_of(strategy: Strategy, text: str = PLAIN, **options: Any) -> list[Trial]:
    """The trials of a short search on the toy problem, within 60 % of the MACs."""
    toy, limit = within_limit(text)
    settings: dict[str, Any] = {"trials": TRIALS, "limit": limit, **options}
    return list(strategy.search(toy.search(**settings)))


def whole_search(strategy: Strategy, objectives: tuple[Objective, ...]) -> list[Trial]:
    """An undisturbed search on the plain toy problem, made once."""
    key = f"{strategy!r} {objectives!r}"  # options may be mappings, which have no hash
    if key not in _SEARCHED:
        _SEARCHED[key] = trials_of(strategy, objectives=objectives)
    return _SEARCHED[key]


_SEARCHED: dict[str, list[Trial]] = {}


def digests(trials: Sequence[Trial]) -> list[str]:
    """Which architectures, in order."""
    return [trial.architecture.digest for trial in trials]


class StrategySuite:
    """Inherit it in a test module, and pytest runs every test once per strategy."""

    strategies: ClassVar[Sequence[Strategy] | None] = None
    """What to test; None means `all_strategies()`."""

    margin: ClassVar[float] = 0.7
    """A guided strategy's regret must be at most this share of uniform random search's, with equal budgets."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per strategy."""
        if "strategy" in metafunc.fixturenames:
            strategies = all_strategies() if self.strategies is None else self.strategies
            metafunc.parametrize("strategy", strategies, ids=_label)

    @pytest.mark.parametrize("text", [PLAIN, COUPLED], ids=["plain", "coupled"])
    def test_proposes_only_canonical_architectures_within_the_limit(self, strategy: Strategy, text: str) -> None:
        """Also with a choice of depth and with tokens that never grow; and exactly as many as the budget has."""
        toy, limit = within_limit(text)
        trials = trials_of(strategy, text)
        table = toy.space.to_table([trial.architecture for trial in trials])
        assert sorted(trial.number for trial in trials) == list(range(TRIALS))
        assert np.array_equal(toy.space.canonical(table), table)
        assert np.all(limit.allows(table))
        assert "done" in {trial.state for trial in trials} <= {"done", "stopped"}

    def test_works_without_a_limit(self, strategy: Strategy) -> None:
        """The limit is optional."""
        assert len(trials_of(strategy, COUPLED, limit=None)) == TRIALS

    def test_same_seed_same_trials_in_another_process(self, strategy: Strategy) -> None:
        """Strings hash differently there, so that nothing may depend on the order of a set. Another seed gives other
        trials.
        """
        if not strategy.searches:
            pytest.skip("always proposes the same architecture")
        here = digests(whole_search(strategy, (ACCURACY,)))
        assert _in_another_process(strategy) == here
        toy, limit = within_limit(PLAIN)
        other = strategy.search(toy.search(trials=TRIALS, seed=1, limit=limit))
        assert digests(list(itertools.islice(other, CONTINUE))) != here[:CONTINUE]

    @pytest.mark.parametrize("stop", [1, TRIALS // 2, TRIALS - 3])
    @pytest.mark.parametrize("objectives", [(ACCURACY,), (ACCURACY, MACS)], ids=["one", "two"])
    def test_killed_search_continues_to_the_same_result(
        self, strategy: Strategy, stop: int, objectives: tuple[Objective, ...]
    ) -> None:
        """All that is left of a killed search is the trials that were recorded."""
        if not _takes(strategy, objectives):
            pytest.skip("refuses several objectives, which is tested elsewhere")
        toy, limit = within_limit(PLAIN)
        whole = whole_search(strategy, objectives)
        running = strategy.search(toy.search(trials=TRIALS, limit=limit, objectives=objectives))
        first = list(itertools.islice(running, stop))
        del running
        rest = strategy.search(toy.search(trials=TRIALS, limit=limit, objectives=objectives, history=first))
        continued = digests([*first, *itertools.islice(rest, CONTINUE)])
        assert continued == digests(whole)[: stop + CONTINUE]

    def test_continues_after_failures(self, strategy: Strategy) -> None:
        """Failed trials are recorded, with their reason, and the budget is spent; a killed search with failures
        continues to the same.
        """
        if not strategy.searches:
            pytest.skip("always proposes the same architecture")
        toy, limit = within_limit(PLAIN)

        def measure(architecture: Architecture) -> Mapping[str, float]:
            if int(architecture.digest, 16) % 3 == 0:
                raise RuntimeError("out of memory")
            if int(architecture.digest, 16) % 3 == 1:
                return {"accuracy": float("nan")}
            return toy.measure(architecture)

        trials = trials_of(strategy, measure=Steady(measure))
        assert len(trials) == TRIALS
        assert {trial.error for trial in trials} == {None, "RuntimeError: out of memory", "accuracy is nan"}
        half = trials[: TRIALS // 2]
        rest = strategy.search(toy.search(trials=TRIALS, limit=limit, measure=Steady(measure), history=half))
        continued = digests([*half, *itertools.islice(rest, CONTINUE)])
        assert continued == digests(trials)[: TRIALS // 2 + CONTINUE]

    def test_measures_no_architecture_twice(self, strategy: Strategy) -> None:
        """In a space of nine architectures every strategy must repeat itself, and must say so."""
        toy, _ = within_limit(TINY)
        measured: list[str] = []

        def measure(architecture: Architecture) -> Mapping[str, float]:
            measured.append(architecture.digest)
            return toy.measure(architecture)

        trials = trials_of(strategy, TINY, measure=Steady(measure), limit=None)
        assert len(trials) == TRIALS
        assert sorted(measured) == sorted(set(digests(trials)))
        assert sum(not trial.cached for trial in trials) == len(measured)

    def test_takes_two_objectives_or_refuses_them(self, strategy: Strategy) -> None:
        """With two objectives it finds several trade-offs; or it raises `StrategyError` before it measures anything."""
        if not strategy.searches:
            pytest.skip("always proposes the same architecture")
        if not _takes(strategy, (ACCURACY, MACS)):
            return
        trials = whole_search(strategy, (ACCURACY, MACS))
        points = {(trial.value("accuracy"), trial.value("macs")) for trial in trials}
        front = [p for p in points if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in points)]
        assert len(front) > 1

    def test_beats_uniform(self, strategy: Strategy) -> None:
        """Mean of three seeds, equal budgets, comfortably."""
        if not strategy.guided:
            pytest.skip("does not learn from its trials")
        assert regret(strategy) <= self.margin * uniform_regret(strategy.trials)


def _label(strategy: Strategy) -> str:
    name = name_of(type(strategy))
    values = (v.get("use") if isinstance(v, dict) else v for v in dataclasses.asdict(strategy).values())
    chosen = [value for value in values if isinstance(value, str)]
    return "-".join([name, *chosen])


def _takes(strategy: Strategy, objectives: tuple[Objective, ...]) -> bool:
    toy, limit = within_limit(PLAIN)

    def never(_: Architecture) -> Mapping[str, float]:
        raise AssertionError("measured something before it refused")

    refusal = ""
    try:
        strategy.search(toy.search(trials=1, limit=limit, objectives=objectives, measure=Steady(never)))
    except StrategyError as error:
        refusal = str(error)
    assert "objective" in refusal or not refusal
    return not refusal


def _in_another_process(strategy: Strategy) -> list[str]:
    """The digests of a search in a process where strings hash differently."""
    kind = type(strategy)
    process = _another_process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([kind.__module__, kind.__qualname__, dataclasses.asdict(strategy)]) + "\n")
    process.stdin.flush()
    answer: list[str] = json.loads(process.stdout.readline() or '["it died, see above"]')
    return answer


@cache
def _another_process() -> subprocess.Popen[str]:
    """One for all strategies, since it takes seconds to start. It ends with this one, when its input does."""
    code = "from nas.testing.strategies import _answer; _answer()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "4242"}
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=pipe, stdout=pipe, text=True)
    atexit.register(_ended, process)
    return process


def _ended(process: subprocess.Popen[str]) -> None:
    process.communicate()


def _answer() -> None:
    """The other process's side of `_in_another_process`: a line with the digests as JSON for each line that asks."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    for line in sys.stdin:
        module, name, options = json.loads(line)
        kind: type[Strategy] = getattr(importlib.import_module(module), name)
        print(json.dumps(digests(trials_of(kind(**options)))), file=answers, flush=True)
