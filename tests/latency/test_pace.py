"""What a machine's pace does to passes that take turns, and what is left of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.latency.pace import FASTEST, paces
from nas.latency.timing import ROUNDS, Forward, of_turns, paced, take_turns, timed

PASSES, TURNS = 40, 30


def ran(pace: np.ndarray, noise: float = 0.001) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What passes truly take, which of them ran one behind the other, and what was timed at a pace."""
    rng = np.random.default_rng(0)
    true = 0.01 * (1 + 0.05 * rng.standard_normal(PASSES))
    numbers = np.concatenate([rng.permutation(PASSES) for _ in range(TURNS)])
    return true, numbers, true[numbers] * pace * (1 + noise * np.abs(rng.standard_normal(len(numbers))))


def of_each(numbers: np.ndarray, seconds: np.ndarray, pace: np.ndarray) -> np.ndarray:
    times = [paced(seconds[numbers == one], pace[numbers == one]) for one in range(PASSES)]
    return np.array([1e-3 * one.milliseconds for one in times])


def test_a_pace_that_changes_while_passes_run_is_left_out() -> None:
    """By up to two fifths, for 15 to 60 passes each time: without it, times would be wrong by per cents."""
    rng = np.random.default_rng(1)
    slow = np.concatenate([np.full(rng.integers(15, 60), rng.uniform(1.0, 1.4)) for _ in range(90)])
    slow = slow[: PASSES * TURNS]
    true, numbers, seconds = ran(slow)
    found = of_each(numbers, seconds, paces(numbers.tolist(), seconds)) / true
    assert found.std() < 0.002
    assert found.mean() == pytest.approx(np.quantile(slow, FASTEST), abs=0.01)
    assert (of_each(numbers, seconds, np.ones(len(numbers))) / true).std() > 0.01


def test_a_machine_that_rests_has_one_pace() -> None:
    true, numbers, seconds = ran(np.ones(PASSES * TURNS))
    pace = paces(numbers.tolist(), seconds)
    assert np.abs(pace - 1).max() < 0.005
    assert (of_each(numbers, seconds, pace) / true).std() < 0.001


def test_of_two_ways_the_surer_one_counts() -> None:
    """Where a machine rests, what is disturbed at random is left out best by a low quantile."""
    for pace, low in ((np.ones(PASSES * TURNS), True), (1 + 0.2 * (np.arange(PASSES * TURNS) // 30 % 2), False)):
        _, numbers, seconds = ran(pace, noise=0.02 if low else 0.001)
        found, told = of_turns(numbers.tolist(), seconds[:, None].tolist()), paces(numbers.tolist(), seconds)
        quantiles = [[timed(seconds[numbers == one])] for one in range(PASSES)]
        middles = [[paced(seconds[numbers == one], told[numbers == one])] for one in range(PASSES)]
        assert found == (quantiles if low else middles)


def test_drift_keeps_the_pace_in_it() -> None:
    """A device that is throttled is refused, although it slows all passes down alike."""
    pace = np.where(np.arange(400) < 200, 1.0, 1.3)
    found = paced(0.01 * pace, pace)
    assert found.milliseconds == pytest.approx(10.0)
    assert found.noise == 0
    assert found.drift == pytest.approx(0.3)
    assert timed(0.01 * pace).drift == found.drift


def test_steps_of_passes_have_the_pace_of_the_whole() -> None:
    """Times that are made up: two passes, of one step and of two, at a pace that doubles in the second round."""
    left = {1: [1.0], 2: [0.5, 2.0]}
    calls: list[int] = []

    def clock(forward: Forward) -> list[float]:
        calls.append(len(forward.steps))
        pace = 1 if len(calls) <= 2 else 2
        return [pace * step for step in left[len(forward.steps)]]

    def same(x: torch.Tensor) -> torch.Tensor:
        return x

    passes = [Forward(torch.zeros(1), (same,)), Forward(torch.zeros(1), (same, same))]
    found = take_turns(passes, clock, seconds=0)
    assert len(calls) == ROUNDS[0] * len(passes)
    one, two = found[0][0].milliseconds, [step.milliseconds for step in found[1]]
    assert two[1] / two[0] == pytest.approx(4)
    assert sum(two) / one == pytest.approx(2.5)
