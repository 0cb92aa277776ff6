"""The noise of both sides of a ranking and its ceiling, on made-up data whose truth is known."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from nas.studies.run.rank_noise import Verdict, reliability, repeats_needed, tau_at
from nas.studies.run.rank_results import RankNoise, Repeats
from nas.studies.tau.ceiling import ceiling
from nas.studies.tau.noise import Repeated
from nas.studies.tau.statistics import spearman, tau_b

RNG = np.random.default_rng(0)
ONCE = Repeats(1, None, None)


def measured(latent: np.ndarray, noise: float, repeats: int, seed: int = 1) -> Repeated:
    """Each repeat is off by an amount of its own for all, which is no noise."""
    rng = np.random.default_rng(seed)
    shifts = rng.normal(0, 5, repeats)
    return Repeated(latent[:, None] + shifts + rng.normal(0, noise, (len(latent), repeats)))


def test_noise_by_hand() -> None:
    """Residuals of 2 x 2 values, 1 4 / 2 3: -+0.5 each, one degree of freedom."""
    repeated = Repeated(np.array([[1.0, 4.0], [2.0, 3.0]]))
    assert repeated.noise == pytest.approx(1.0)
    assert list(repeated.mean) == [2.5, 2.5]
    assert repeated.signal == 0
    assert repeated.repeats == Repeats(2, 0.0, 1.0)
    assert Repeated(np.array([[1.0], [2.0]])).repeats == ONCE


def test_signal_and_noise_are_found_again() -> None:
    repeated = measured(RNG.normal(0, 2, 4000), noise=3, repeats=4)
    assert repeated.noise == pytest.approx(9, rel=0.05)
    assert repeated.signal == pytest.approx(4, rel=0.1)
    assert reliability(repeated.repeats) == pytest.approx(4 / (4 + 9 / 4), rel=0.05)


def test_the_ceiling_is_what_the_truth_itself_reaches() -> None:
    """Latent values are known here: what they reach is within the interval, and the formulas agree."""
    latent = RNG.normal(0, 1, 400)
    truth = measured(latent, noise=1, repeats=3)
    for agreement, formula in ((tau_b, tau_at), (spearman, lambda r: 6 / math.pi * math.asin(r / 2))):
        value, low, high = ceiling(truth, agreement, np.random.default_rng(0))
        assert low <= agreement(latent, truth.mean) <= high
        assert value == pytest.approx(formula(math.sqrt(reliability(truth.repeats))), abs=0.03)


def test_a_random_score_reaches_nothing_and_a_noisy_one_what_the_verdict_says() -> None:
    latent = RNG.normal(0, 1, 400)
    truth = measured(latent, noise=1, repeats=3)
    assert abs(tau_b(RNG.normal(0, 1, 400), truth.mean)) < 0.1
    score = measured(latent, noise=1, repeats=8, seed=2)
    verdict = Verdict(0.0, ceiling(truth, tau_b, np.random.default_rng(0))[0], noise(truth, score), 100)
    assert verdict.attainable == pytest.approx(tau_b(score.mean, truth.mean), abs=0.05)


def test_without_signal_or_repeats() -> None:
    flat = Repeated(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert ceiling(flat, tau_b, RNG) == (0, 0, 0)
    assert all(math.isnan(end) for end in ceiling(Repeated(np.array([[1.0], [2.0]])), tau_b, RNG))
    truth = measured(np.arange(5.0), noise=1, repeats=3)
    apart = np.zeros((5, 5), bool)
    assert all(math.isnan(end) for end in ceiling(truth, lambda one, other: tau_b(one, other, apart), RNG))
    assert math.isinf(repeats_needed(flat.repeats))
    assert math.isnan(reliability(ONCE))


def test_as_many_repeats_as_are_needed_allow_the_goal() -> None:
    repeats = Repeats(1, 1.0, 2.0)
    needed = repeats_needed(repeats, tau=0.8)
    assert tau_at(math.sqrt(1 / (1 + 2 / needed))) == pytest.approx(0.8)


def noise(truth: Repeated, images: Repeated, supernets: Repeats | None = None) -> RankNoise:
    return RankNoise(truth=truth.repeats, images=images.repeats, supernets=supernets)


GOOD, POOR = Repeats(8, 1.0, 0.1), Repeats(8, 1.0, 100.0)


@pytest.mark.parametrize(
    ("high", "ceiling_of_tau", "found", "sentence"),
    [
        (0.9, math.nan, RankNoise(truth=ONCE, images=GOOD), "measured once"),
        (0.9, 0.0, RankNoise(truth=Repeats(3, 0.0, 1.0), images=GOOD), "all noise"),
        (0.8, 0.7, RankNoise(truth=Repeats(3, 1.0, 1.0), images=GOOD), "Limited by the truth: .* 0.70. With 40 seeds"),
        (0.5, 0.9, RankNoise(truth=GOOD, images=POOR), "noise of the score.* few images: 49,830 would allow 0.90"),
        (0.5, 0.9, RankNoise(truth=GOOD, images=GOOD, supernets=POOR), "a supernet's training: 3,987 supernets"),
        (0.5, 0.9, RankNoise(truth=GOOD, images=GOOD), "what shared weights prefer: .* 0.90, .* noise 0.9"),
    ],
)
def test_the_verdict_says_what_limits(high: float, ceiling_of_tau: float, found: RankNoise, sentence: str) -> None:

    assert re.search(sentence, str(Verdict(high, ceiling_of_tau, found, images=100)))
