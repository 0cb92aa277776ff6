"""Predictors never see what they predict, learn what there is to learn, and know nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.proxies._predictor import Predictor, encoded, left_out
from nas.proxies.gaussian_process import GaussianProcess
from nas.proxies.ridge import Ridge
from nas.testing.relaxed import Bench

BOTH = pytest.mark.parametrize("predictor", [Ridge(), GaussianProcess()], ids=["ridge", "gaussian_process"])


def rows(seed: int, count: int = 14) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (count, 6)) / 3


@BOTH
def test_none_sees_the_one_that_it_predicts(predictor: Predictor) -> None:
    encoding = rows(0)
    truth = encoding.sum(1)
    other = truth.copy()
    other[3] += 100
    first, second = (left_out(predictor.predict, encoding, values) for values in (truth, other))
    assert first[3] == second[3]
    assert (np.delete(first, 3) != np.delete(second, 3)).any()


@BOTH
def test_what_is_linear_is_learned(predictor: Predictor) -> None:
    encoding = rows(0)
    truth = encoding @ np.array([3, 1, 0, 0, 2, 1])
    assert kendalltau(left_out(predictor.predict, encoding, truth), truth).statistic > 0.7


def test_a_truth_that_is_noise_is_hardly_ranked_in_reverse() -> None:
    """What is predicted of one that was left out would be low where its truth is high, with the mean of the others."""
    taus, with_means = [], []
    for seed in range(20):
        truth = np.random.default_rng(1000 + seed).normal(size=14)
        predicted = left_out(Ridge().predict, rows(seed), truth)
        means = (truth.sum() - truth) / 13
        taus.append(kendalltau(predicted, truth).statistic)
        with_means.append(kendalltau(predicted + means, truth).statistic)
    assert abs(np.mean(taus)) < 0.25
    assert np.mean(with_means) < -0.3


def test_what_does_not_vary_is_no_fault() -> None:
    encoding = np.column_stack([rows(0), np.ones(14)])
    assert np.isfinite(left_out(Ridge().predict, encoding, np.ones(14))).all()
    assert np.isfinite(left_out(GaussianProcess().predict, encoding, np.ones(14))).all()


def test_an_encoding_holds_positions_and_costs() -> None:
    supernet = Bench("vit").supernet
    space = supernet.space
    table = encoded(supernet.cost, [space.smallest, space.largest])
    assert table.shape == (2, len(space) + 2)
    assert list(table[1]) == [1.0] * (len(space) + 2)
    assert (table[0, : len(space)] == 0).all()
