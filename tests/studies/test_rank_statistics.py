"""tau, regret and their intervals, against values computed by hand and by scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from nas.quantities import Quantity
from nas.studies.tau import ceiling as ceilings
from nas.studies.tau import statistics
from nas.studies.tau.noise import Repeated
from nas.studies.tau.statistics import Rankings, precision, ranked, regret, spearman, tau_b, ties
from nas.studies.tau.statistics import summary as summary_of
from nas.tasks.classification import ACCURACY


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    monkeypatch.setattr(ceilings, "DRAWS", 20)


def table(shared: list[float], retrained: list[float], macs: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "digest": [f"{n:012x}" for n in range(len(shared))],
            "macs": macs or list(range(1, len(shared) + 1)),
            "shared_accuracy": shared,
            "retrained_accuracy": retrained,
        }
    )


def summary(frame: pd.DataFrame, metric: Quantity, seed: int) -> pd.DataFrame:
    """Of architectures that were retrained once."""
    rows, sign = ranked(frame, metric), 1 if metric.maximise else -1
    scores, truth = (sign * rows[f"{when}_{metric.name}"].to_numpy() for when in ("shared", "retrained"))
    return summary_of(Rankings({"tau": scores}, rows["macs"].to_numpy(np.float64), Repeated(truth[:, None])), seed)


def by_hand(first: list[float], second: list[float]) -> float:
    """(concordant - discordant) / sqrt(pairs not tied in the first x pairs not tied in the second)."""
    signs = np.array(
        [
            (np.sign(first[i] - first[j]), np.sign(second[i] - second[j]))
            for i, j in itertools.combinations(range(len(first)), 2)
        ]
    )
    return float((signs[:, 0] * signs[:, 1]).sum() / np.sqrt(np.abs(signs).sum(axis=0).prod()))


@pytest.mark.parametrize(
    ("first", "second", "tau"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 4 / 6),  # one of six pairs is discordant
        ([1, 1, 2, 3], [1, 2, 3, 3], 4 / 5),  # four concordant; one pair tied in each, five of six are left
    ],
)
def test_tau_b_by_hand(first: list[float], second: list[float], tau: float) -> None:
    assert tau_b(np.array(first), np.array(second)) == pytest.approx(tau)
    assert by_hand(first, second) == pytest.approx(tau)


def test_tau_b_is_not_defined_where_one_side_does_not_vary() -> None:
    assert np.isnan(tau_b(np.array([1, 1, 1]), np.array([1, 2, 3])))
    found = summary(table([0.5, 0.5, 0.5], [0.6, 0.7, 0.8]), ACCURACY, seed=0).set_index("statistic")
    assert np.isnan(found.loc["tau", "value"])  # type: ignore[arg-type]
    assert list(found.loc["tau", ["low", "high"]]) == [0, 0]


def test_spearman_is_scipys() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 20), rng.integers(0, 6, 20)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert np.isnan(spearman(np.ones(4), np.arange(4)))


def test_within_bands_only_pairs_of_about_the_same_size_count() -> None:
    """100 with 101, 200 with 202: one pair is in order, one is not; across, all are."""
    frame = table([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.9, 0.8], macs=[100, 101, 200, 202])
    found = summary(frame, ACCURACY, seed=0).set_index("statistic")["value"]
    assert found["tau"] == pytest.approx(4 / 6)
    assert found["tau within 2% of MACs"] == 0


def test_precision_is_how_many_of_the_top_come_first() -> None:
    truth = np.linspace(1, 0, 20)
    assert precision(truth) == 1
    assert precision(np.r_[truth[0], truth[:0:-1]]) == 0.5
    assert precision(truth[::-1]) == 0


def test_regret_is_what_the_first_k_miss() -> None:
    retrained = np.array([0.70, 0.80, 0.75, 0.90])
    assert [regret(retrained, k) for k in (1, 2, 3, 4, 9)] == pytest.approx([0.2, 0.1, 0.1, 0.0, 0.0])


def test_ties_are_ranked_as_a_winner_is_chosen_and_counted() -> None:
    frame = table([0.5, 0.6, 0.6, 0.6], [0.7, 0.7, 0.8, 0.7], macs=[1, 9, 4, 4])
    assert [int(digest, 16) for digest in ranked(frame, ACCURACY)["digest"]] == [2, 3, 1, 0]
    assert ties(frame, ACCURACY) == {"pairs": 6, "tied_shared": 3, "tied_retrained": 3}


def test_the_summary_is_of_the_ranked_rows_whatever_their_order() -> None:
    frame = table([0.5, 0.7, 0.6, 0.4], [0.50, 0.55, 0.60, 0.45])
    found = summary(frame, ACCURACY, seed=0).set_index("statistic")["value"]
    assert found["tau"] == pytest.approx(kendalltau(frame["shared_accuracy"], frame["retrained_accuracy"]).statistic)
    assert found["tau of MACs"] == pytest.approx(kendalltau(frame["macs"], frame["retrained_accuracy"]).statistic)
    assert found["regret@1"] == pytest.approx(0.05)
    assert found["regret@3"] == pytest.approx(0)
    pd.testing.assert_frame_equal(summary(frame.iloc[::-1], ACCURACY, 0), summary(frame, ACCURACY, 0))


def test_a_metric_of_which_less_is_better_ranks_and_regrets_the_other_way_round() -> None:
    """A miss of 1 - accuracy says the same as the accuracy."""
    miss = Quantity(name="miss", title="miss", origin="measured")
    accuracies = table([0.5, 0.75, 0.75, 0.25], [0.5, 0.625, 0.75, 0.375], macs=[3, 9, 4, 4])
    errors = accuracies.rename(columns=lambda column: column.replace("accuracy", "miss"))
    errors[["shared_miss", "retrained_miss"]] = 1 - errors[["shared_miss", "retrained_miss"]]
    assert list(ranked(errors, miss)["digest"]) == list(ranked(accuracies, ACCURACY)["digest"])
    pd.testing.assert_frame_equal(summary(errors, miss, 0), summary(accuracies, ACCURACY, 0))


def test_the_interval_is_a_seeded_percentile_bootstrap_over_architectures() -> None:
    rng = np.random.default_rng(0)
    shared = rng.integers(0, 10, 9) / 10
    frame = table(list(shared), list(shared + rng.normal(0, 0.1, 9)))
    found = summary(frame, ACCURACY, seed=3).set_index("statistic")
    ordered = ranked(frame, ACCURACY)
    x, y = ordered["shared_accuracy"].to_numpy(), ordered["retrained_accuracy"].to_numpy()
    draws = np.random.default_rng(3).integers(0, 9, (50, 9))
    taus = [by_hand(list(x[draw]), list(y[draw])) for draw in draws]
    assert list(found.loc["tau", ["low", "high"]]) == pytest.approx(list(np.percentile(taus, [2.5, 97.5])))
    regrets = [y[draw].max() - y[sorted(set(draw))[:3]].max() for draw in draws]
    assert list(found.loc["regret@3", ["low", "high"]]) == pytest.approx(list(np.percentile(regrets, [2.5, 97.5])))
    assert not summary(frame, ACCURACY, seed=4).equals(summary(frame, ACCURACY, seed=3))
