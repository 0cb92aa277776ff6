"""Trials are recorded as they are known; failures, repeats and faults of others are told apart."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from nas.errors import SpaceError, StrategyError
from nas.search import Objective, Problem, Trial, winner
from nas.search.ranking import to_minimise
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.testing.toy import ACCURACY, MACS, Toy


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


def draw(toy: Toy, n: int, seed: int = 0) -> list[Architecture]:
    return toy.space.from_table(toy.space.sample_table(np.random.default_rng(seed), n))


def trial(toy: Toy, architecture: Architecture, accuracy: float, number: int = 0, macs: int = 1) -> Trial:
    return Trial(number, architecture, {"accuracy": accuracy}, {"macs": macs, "params": 2}, "uniform", 0, 0.0)


def test_a_trial_tells_metrics_costs_and_flops(toy: Toy) -> None:
    one = trial(toy, toy.space.largest, 0.5, macs=7)
    assert (one.value("accuracy"), one.value("macs"), one.value("flops")) == (0.5, 7, 14)
    with pytest.raises(StrategyError, match=r"no 'acuracy' among .*accuracy.*did you mean 'accuracy'"):
        one.value("acuracy")


def test_losses_are_less_when_better(toy: Toy) -> None:
    two = [trial(toy, toy.space.largest, 0.5, macs=7), trial(toy, toy.space.smallest, 0.4, 1, macs=3)]
    assert to_minimise(two, (ACCURACY, MACS)).tolist() == [[-0.5, 7], [-0.4, 3]]
    assert to_minimise([], (ACCURACY, MACS)).shape == (0, 2)


def test_evaluate_measures_records_and_appends_in_order(toy: Toy) -> None:
    search = toy.search(trials=10)
    seen: list[tuple[int, int]] = []
    search.record = lambda trial: seen.append((trial.number, len(search.history)))
    pair = draw(toy, 2)
    trials = search.evaluate(pair, notes={"why": "test"})
    assert search.history == trials
    assert [t.number for t in trials] == [0, 1]
    assert [t.metrics["accuracy"] for t in trials] == [toy.measure(a)["accuracy"] for a in pair]
    assert [dict(t.costs) for t in trials] == [toy.counts(a) for a in pair]
    assert trials[0].notes == {"why": "test"}
    assert seen == [(0, 0), (1, 1)]  # recorded one by one, each before it is history


def test_what_was_measured_before_is_cached(toy: Toy) -> None:
    calls: list[str] = []

    def measure(architecture: Architecture) -> Mapping[str, float]:
        calls.append(architecture.digest)
        return toy.measure(architecture)

    a, b, c = draw(toy, 3)
    search = toy.search(trials=10, measure=measure, history=toy.search(trials=1).evaluate([a]))
    search.known = {b.digest: {"accuracy": 0.25}}
    trials = search.evaluate([a, b, c, c])
    assert calls == [c.digest]
    assert [t.cached for t in trials] == [True, True, False, True]
    assert trials[1].metrics == {"accuracy": 0.25}
    assert trials[3].metrics == trials[2].metrics
    assert trials[3].seconds == 0.0 < trials[2].seconds


def test_only_what_is_measured_is_begun(toy: Toy) -> None:
    first, second = draw(toy, 2)
    begun: list[tuple[int, Architecture]] = []
    search = toy.search(trials=9)
    search.begin = lambda number, architecture: begun.append((number, architecture))
    search.evaluate([first, first, second])
    assert begun == [(0, first), (2, second)]


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        (RuntimeError("no memory"), "RuntimeError: no memory"),
        (OSError("no such image"), "OSError: no such image"),
        ({"accuracy": math.nan}, "accuracy is nan"),
        ({"accuracy": 0.5, "loss": math.inf}, "loss is inf"),
    ],
)
def test_a_failing_measurement_is_a_failed_trial_and_is_not_repeated(toy: Toy, metrics: object, error: str) -> None:
    calls: list[str] = []

    def measure(architecture: Architecture) -> Mapping[str, float]:
        calls.append(architecture.digest)
        if isinstance(metrics, Exception):
            raise metrics
        return metrics  # type: ignore[return-value]

    search = toy.search(trials=10, measure=measure)
    first, second = search.evaluate([toy.space.largest, toy.space.largest])
    assert (first.state, first.error, dict(first.metrics), first.cached) == ("failed", error, {}, False)
    assert (second.state, second.error, second.cached) == ("failed", error, True)
    assert len(calls) == 1


def test_interrupts_and_faults_of_the_store_pass_through(toy: Toy) -> None:
    def interrupted(_: Architecture) -> Mapping[str, float]:
        raise KeyboardInterrupt

    search = toy.search(trials=10, measure=interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.evaluate([toy.space.largest])

    def full(_: Trial) -> None:
        raise OSError(28, "No space left on device")

    search = toy.search(trials=10)
    search.record = full
    with pytest.raises(OSError, match="No space left"):
        search.evaluate([toy.space.largest])
    assert search.history == []


def test_faults_of_a_strategy_or_study_are_errors(toy: Toy) -> None:
    search = toy.search(trials=10, limit=Limit(toy, macs="50%"))
    with pytest.raises(StrategyError, match="over the limit"):
        search.evaluate([toy.space.largest])
    with pytest.raises(SpaceError):
        search.evaluate([Architecture({**toy.space.largest, "heads.0": 17})])
    search = toy.search(trials=10, objectives=[Objective("acuracy", maximise=True)])
    with pytest.raises(StrategyError, match="did you mean 'accuracy'"):
        search.evaluate([toy.space.largest])
    assert search.history == []


def test_random_numbers_depend_on_seed_and_number_alone(toy: Toy) -> None:
    def numbers(problem: Problem, number: int) -> list[int]:
        return [int(n) for n in problem.rng(number).integers(1000, size=4)]

    a, b = toy.problem(trials=10), toy.problem(trials=99)
    a.rng(3).random(100)
    assert numbers(a, 3) == numbers(b, 3)
    assert numbers(a, 3) != numbers(a, 4)
    assert numbers(a, 3) != numbers(toy.problem(trials=10, seed=1), 3)


def test_winner_is_the_best_feasible_one_then_the_cheapest(toy: Toy) -> None:
    limit = Limit(toy, macs="50%")
    small, large = toy.space.smallest, toy.space.largest
    other = toy.space.sample(np.random.default_rng(0), limit)
    trials = [trial(toy, large, 0.9), trial(toy, small, 0.8, 1, macs=5), trial(toy, other, 0.8, 2, macs=4)]
    assert winner(trials, [ACCURACY], None) is trials[0]
    assert winner(trials, [ACCURACY], limit) is trials[2]
    assert winner(trials, [MACS, ACCURACY], None) is trials[0]
    tied = [trial(toy, small, 0.8), trial(toy, other, 0.8, 1)]
    assert winner(tied, [ACCURACY]) == winner(tied[::-1], [ACCURACY])
    assert winner(tied, [ACCURACY]).architecture.digest == min(small.digest, other.digest)


def test_no_winner_says_why(toy: Toy) -> None:
    failed = Trial(0, toy.space.smallest, {}, {}, "uniform", 0, 0.0, state="failed", error="RuntimeError: no memory")
    with pytest.raises(StrategyError, match="no winner among 1 trials: RuntimeError: no memory"):
        winner([failed], [ACCURACY])
    with pytest.raises(StrategyError, match="none of them is within the limit"):
        winner([trial(toy, toy.space.largest, 0.9)], [ACCURACY], Limit(toy, macs="50%"))
    with pytest.raises(StrategyError, match="there are no trials"):
        winner([], [ACCURACY])
