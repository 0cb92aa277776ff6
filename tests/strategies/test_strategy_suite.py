"""Every strategy of the plug-in folder passes the suite; and the suite fails for strategies that deserve it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nas.errors import StrategyError
from nas.search import AskTell, Search, Strategy, Trial, installed, name_of
from nas.search.feasible import draw
from nas.searchspaces.architecture import Architecture
from nas.testing.strategies import StrategySuite, all_strategies
from nas.testing.toy import ACCURACY, PLAIN


class TestStrategies(StrategySuite):
    """All of them."""


def test_the_suite_finds_them_all() -> None:
    found = {name_of(type(strategy)) for strategy in all_strategies()}
    extras = {"with_optuna", "with_nni"} & set(installed())
    assert found >= {"uniform", "evolution", *extras}
    samplers = [(name_of(type(s)), getattr(s, "sampler", None)) for s in all_strategies()]
    if "with_optuna" in extras:
        assert all(("with_optuna", sampler) in samplers for sampler in ("tpe", "gp", "nsga2", "nsga3"))
        assert any(isinstance(sampler, dict) for _, sampler in samplers)
    if "with_nni" in extras:
        assert all(("with_nni", sampler) in samplers for sampler in ("regularized_evolution", "tpe", "evolution"))


counter = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Forgetful(AskTell):
    """Not a function of its history: it remembers something that a killed search loses."""

    def ask(self, search: Search, number: int) -> Architecture:
        return draw(search, search.problem.rng(next(counter)))


@dataclass(frozen=True, kw_only=True)
class Salted(AskTell):
    """Depends on how strings hash, which no two processes agree on."""

    def ask(self, search: Search, number: int) -> Architecture:
        return draw(search, search.problem.rng(number + hash("salt") % 1_000_003))


@dataclass(frozen=True, kw_only=True)
class Greedy(AskTell):
    """Does not care for the limit."""

    def ask(self, search: Search, number: int) -> Architecture:
        return search.problem.space.largest


@dataclass(frozen=True, kw_only=True)
class Spendthrift(Strategy):
    """Does not care for the budget."""

    def search(self, search: Search) -> Iterator[Trial]:
        yield from search.evaluate(draw(search, search.problem.rng(n)) for n in range(search.problem.trials + 1))


@dataclass(frozen=True, kw_only=True)
class Hasty(AskTell):
    """Gives up at the first failure."""

    def ask(self, search: Search, number: int) -> Architecture:
        if any(trial.state == "failed" for trial in search.history):
            raise RuntimeError("failed")
        return draw(search, search.problem.rng(number))


def test_the_suite_can_fail() -> None:
    suite = StrategySuite()
    with pytest.raises(AssertionError):
        suite.test_killed_search_continues_to_the_same_result(Forgetful(), 5, (ACCURACY,))
    with pytest.raises(AssertionError):
        suite.test_same_seed_same_trials_in_another_process(Salted())
    with pytest.raises(StrategyError, match="over the limit"):
        suite.test_proposes_only_canonical_architectures_within_the_limit(Greedy(), PLAIN)
    with pytest.raises(AssertionError):
        suite.test_proposes_only_canonical_architectures_within_the_limit(Spendthrift(), PLAIN)
    with pytest.raises(RuntimeError):
        suite.test_continues_after_failures(Hasty())
    with pytest.raises(AssertionError):
        suite.test_beats_uniform(Hasty(trials=20))
