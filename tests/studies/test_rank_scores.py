"""Several scores beside each other, and what is aggregated of them."""

from __future__ import annotations

import numpy as np
import pytest

from nas.studies.tau import statistics
from nas.studies.tau.aggregate import aggregated, helpful
from nas.studies.tau.judging import judged
from nas.studies.tau.noise import Repeated
from nas.studies.tau.statistics import Rankings, tau_b

COUNT = 24


def made_up(seed: int, **noise: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores that are the truth plus so much noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=COUNT)
    return {name: truth + amount * rng.normal(size=COUNT) for name, amount in noise.items()}, truth


def test_one_that_helps_joins_and_one_that_does_not_stays_out() -> None:
    scores, truth = made_up(0, accuracy=2.0, useful=0.1, useless=1e6)
    assert helpful(scores, truth, np.arange(COUNT)) == ["accuracy", "useful"]
    mixed = aggregated(scores, truth, seed=0)
    assert tau_b(mixed, truth) > tau_b(scores["accuracy"], truth) + 0.1


def test_who_helps_is_not_decided_by_the_ones_that_are_ranked() -> None:
    """Another truth of one changes what is chosen for others, never where it stands itself."""
    scores, truth = made_up(0, accuracy=2.0, useful=0.5, useless=5.0)
    other = truth.copy()
    other[5] -= 100
    first, second = (aggregated(scores, values, seed=0) for values in (truth, other))
    assert first[5] == second[5]


def test_a_dozen_of_useless_ones_does_not_seem_to_help() -> None:
    gains = []
    for seed in range(30):
        scores, truth = made_up(seed, accuracy=1.0, **{f"useless {number}": 1e6 for number in range(12)})
        gains.append(tau_b(aggregated(scores, truth, seed), truth) - tau_b(scores["accuracy"], truth))
        seen = np.mean([tau_b(scores[name], truth) for name in helpful(scores, truth, np.arange(COUNT))])
    assert np.mean(gains) < 0.02
    assert np.isfinite(seen)


def test_one_that_is_not_defined_everywhere_is_no_candidate() -> None:
    scores, truth = made_up(0, accuracy=2.0, useful=0.1)
    scores["useful"][0] = np.nan
    assert helpful(scores, truth, np.arange(COUNT)) == ["accuracy"]


def test_scores_are_judged_on_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    scores, truth = made_up(0, accuracy=1.0, perfect=0.0)
    scores["twin"] = scores["accuracy"] * 2
    scores["constant"] = np.ones(COUNT)
    sizes = np.repeat([100.0, 200.0], COUNT // 2)
    first, perfect, twin, constant = judged(Rankings(scores, sizes, Repeated(truth[:, None])), seed=0)
    assert first.tau == pytest.approx(tau_b(scores["accuracy"], truth))
    assert (perfect.tau, perfect.within) == (1, 1)
    assert first.gain == first.gain_low == twin.gain_low == twin.gain_high == 0
    assert perfect.gain_low is not None
    assert perfect.gain_low > 0
    assert (constant.tau, constant.within, constant.gain) == (None, None, None)
