"""Copies of models, timed at several times: noise, and what a machine's pace does to all of them."""

from __future__ import annotations

import numpy as np
import pytest

from nas.latency import passes
from nas.latency.copies import Sitting, levels, of_all, together
from nas.latency.passes import parts
from nas.latency.timing import StepTime


def step(milliseconds: float) -> StepTime:
    return StepTime(milliseconds, 0.0)


def test_several_copies_say_how_noisy_a_time_is() -> None:
    """One of them that something else slowed down counts as little as it can."""
    assert together([StepTime(2.0, 0.3, 0.1)], [1.0]) == StepTime(2.0, 0.3, 0.1)
    found = together([step(of) for of in (1.0, 1.02, 0.98, 9.0, 1.01)], [1.0] * 5)
    assert found.milliseconds == 1.01
    assert found.drift == pytest.approx(0.01)
    rng = np.random.default_rng(0)
    times = [[step(of) for of in rng.normal(1, 0.02, 9)] for _ in range(500)]
    medians, noises = (np.array(of) for of in zip(*(together(of, [1.0] * 9)[:2] for of in times), strict=True))
    assert np.mean(noises**2) ** 0.5 == pytest.approx(medians.std(), rel=0.1)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_machines_pace_is_left_out(parts: int) -> None:
    """It changes from sitting to sitting by a tenth and more; passes differ by a hundredth, and noise is less."""
    rng = np.random.default_rng(0)
    true = 1 + 0.01 * rng.standard_normal(60)
    sittings = []
    for _ in range(4):
        for numbers in np.split(rng.permutation(60), parts):
            pace = np.exp(rng.normal(0, 0.1))
            times = true[numbers] * pace * (1 + 0.001 * rng.standard_normal(len(numbers)))
            sittings.append(Sitting(numbers.tolist(), [[step(0.25 * of), step(0.75 * of)] for of in times]))
    found = of_all(sittings)
    wholes = np.array([sum(one.milliseconds for one in steps) for steps in found])
    ratios = wholes / true
    assert ratios.std() / ratios.mean() < 0.0015
    assert np.median([steps[0].noise for steps in found]) < 0.0015
    assert abs(found[0][0].drift) > 0.01, "drift is how a machine's pace is noticed"
    assert [steps[0].milliseconds / steps[1].milliseconds for steps in found] == pytest.approx([1 / 3] * 60)


def test_what_has_nothing_to_be_held_against_stays() -> None:
    sittings = [Sitting([1], [[step(3.0)]]), Sitting([0, 2], [[step(1.0)], [step(2.0)]])]
    assert levels(sittings) == [1.0, 1.0]
    assert of_all(sittings) == [[step(1.0)], [step(3.0)], [step(2.0)]]


def test_parts_are_alike_in_size_and_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One model more than memory holds makes two halves, and not a part with one model."""
    monkeypatch.setattr(passes, "AT_ONCE", 100)
    assert parts([10] * 10) == [list(range(10))]
    assert parts([10] * 11) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10]]
    assert parts([0, 0]) == [[0, 1]]
    assert parts([250]) == [[0]], "a model that fits nowhere is timed nevertheless"
    sizes = np.random.default_rng(0).integers(1, 20, 70).tolist()
    found = parts(sizes)
    assert [place for part in found for place in part] == list(range(70))
    assert len(found) == -(-sum(sizes) // 100)
    assert max(sum(sizes[place] for place in part) for part in found) < 100 + 20
