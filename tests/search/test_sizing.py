"""Sizing by importance: the global threshold and the knapsack, against brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from nas.errors import StrategyError
from nas.search.problem import Problem
from nas.search.sizing import Scores
from nas.searchspaces import Limit
from nas.strategies.knapsack import Knapsack
from nas.strategies.threshold import Threshold
from nas.testing.toy import Toy

SMALL = "model: toy\nchoices:\n  heads: {size: [1, 2, 3], per: model}\n  mlp: {size: {from: 32, to: 192, step: 32}}\n"
UNITS = "model: toy\nchoices:\n  heads: {size: [1, 2, 3]}\n  mlp: {size: {from: 1, to: 192, step: 1}}\n"


def problem(text: str = SMALL, **limit: Any) -> Problem:
    toy = Toy(text)
    return toy.problem(trials=1, limit=Limit(toy, **limit) if limit else None)


def scores_of(problem: Problem, seed: int, **scale: float) -> Scores:
    """Descending scores for all axes, those of a family times its scale."""
    rng = np.random.default_rng(seed)
    found = {}
    for axis in sorted(problem.space.axes):
        units = problem.space.outline.axes[axis]
        found[axis] = np.sort(rng.exponential(scale.get(axis.split(".")[0], 1.0), units))[::-1]
    return found


def kept(problem: Problem, scores: Scores, architecture: Any) -> float:
    sizes = problem.space.sizes(architecture)
    return sum(float(scores[axis][: sizes[axis]].sum()) for axis in scores)


def test_the_threshold_is_the_first_that_keeps_the_limit() -> None:
    asked = problem(UNITS, macs="50%")
    scores = scores_of(asked, 0)
    found = asked.space.sizes(Threshold().size(asked, scores))
    everything = np.sort(np.concatenate(list(scores.values())))
    for cut, value in enumerate(everything):
        sizes = {axis: max(1, int((s >= value).sum())) for axis, s in scores.items()}
        architecture = asked.space.from_table(
            np.array([[choice.sizes.index({choice.axes[0]: sizes[choice.axes[0]]}) for choice in asked.space.values()]])
        )[0]
        if asked.allows(architecture):
            assert found == asked.space.sizes(architecture)
            assert cut > 0
            return
    raise AssertionError("no threshold was feasible")


def test_a_ratio_cuts_that_share_of_all_units() -> None:
    asked = problem(UNITS)
    scores = scores_of(asked, 1)
    sizes = asked.space.sizes(Threshold(ratio=0.3).size(asked, scores))
    units = sum(map(len, scores.values()))
    assert abs(sum(sizes.values()) - 0.7 * units) <= 7  # heads are never emptied
    both = replace(asked, limit=Limit(Toy(UNITS), macs="40%"))
    assert Threshold(ratio=0.3).size(both, scores) == Threshold().size(both, scores), "the limit asks for more"


def test_rankings_compare_different_units() -> None:
    asked = problem(UNITS)
    scores = {
        axis: s * (0.01 if axis in ("mlp.0", "heads.0") else 1) for axis, s in scores_of(asked, 2, heads=100).items()
    }
    sizes = {
        ranking: asked.space.sizes(Threshold(ranking=ranking, ratio=0.5).size(asked, scores))  # type: ignore[arg-type]
        for ranking in ("global", "global_per_kind", "per_layer")
    }
    assert sizes["global"]["mlp.0"] == 1
    assert all(sizes["global"][f"heads.{block}"] == 3 for block in range(1, 6)), "heads have the larger scores here"
    assert sizes["global_per_kind"]["heads.0"] == 1
    assert any(sizes["global_per_kind"][f"heads.{block}"] < 3 for block in range(1, 6))
    assert {sizes["per_layer"][f"mlp.{block}"] for block in range(6)} == {96}


def test_sizes_are_rounded_and_floors_hold() -> None:
    asked = problem(UNITS)
    scores = scores_of(asked, 3)
    plain, rounded = (
        asked.space.sizes(Threshold(ratio=0.6, round_to=r, min_keep=1).size(asked, scores)) for r in (1, 16)
    )
    for block in range(6):
        assert rounded[f"mlp.{block}"] % 16 == 0
        assert abs(rounded[f"mlp.{block}"] - plain[f"mlp.{block}"]) <= 8
        assert rounded[f"heads.{block}"] == 3, "no multiple of 16: it stays whole"
    floored = asked.space.sizes(Threshold(ratio=0.9, min_keep=50).size(asked, scores))
    assert min(floored[f"mlp.{block}"] for block in range(6)) == 50


def test_what_cannot_be_met_is_said_with_numbers() -> None:
    asked = problem(UNITS, macs="30%")
    with pytest.raises(StrategyError, match=r"no threshold meets the limit .*min_keep \(190\)"):
        Threshold(min_keep=190).size(asked, scores_of(asked, 4))
    with pytest.raises(StrategyError, match="nothing says how much to cut"):
        Threshold().check(problem())


@pytest.mark.parametrize(
    "options", [{"ratio": 1}, {"ratio": -0.1}, {"ranking": "local"}, {"importance": "magnitud"}, {"importance": {}},
                {"importance": {"use": "l1_gates", "gamma": -1}}, {"trials": 2}]
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Threshold).validate_python(options)


@pytest.mark.parametrize("limit", [{"macs": "60%"}, {"params": "55%"}, {"macs": "70%", "params": "60%"}])
def test_the_knapsack_is_exact(limit: dict[str, str]) -> None:
    asked = problem(
        "model: toy\nchoices:\n  heads: {size: [1, 2, 3], per: model}\n  mlp: {size: [64, 128, 192]}\n", **limit
    )
    scores = scores_of(asked, 5)
    rows = np.array(list(itertools.product(*map(range, asked.space.n_values))))
    assert asked.limit is not None
    feasible = asked.space.from_table(rows[asked.limit.allows(rows)])
    best = max(kept(asked, scores, architecture) for architecture in feasible)
    assert kept(asked, scores, Knapsack().size(asked, scores)) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(20))
def test_the_knapsack_never_keeps_less_than_the_threshold(seed: int) -> None:
    asked = problem(macs="50%")
    scores = scores_of(asked, seed, heads=seed + 1)
    by_threshold, by_knapsack = (s.size(asked, scores) for s in (Threshold(), Knapsack()))
    assert kept(asked, scores, by_knapsack) >= kept(asked, scores, by_threshold) - 1e-9


def test_choices_without_scores_stay_whole() -> None:
    asked = problem("model: toy\nchoices:\n  depth: {depth: [3, 6]}\n  mlp: {size: [64, 128, 192]}\n", macs="80%")
    scores = {axis: s for axis, s in scores_of(asked, 6).items() if axis.startswith("mlp")}
    for strategy in (Threshold(), Knapsack()):
        assert strategy.size(asked, scores)["depth"] == 6
