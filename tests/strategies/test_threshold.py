"""The threshold on scores made by hand: who is compared with whom, and what `normalise` evens out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from nas.errors import StrategyError
from nas.searchspaces import Limit
from nas.strategies.threshold import Comparison, Threshold
from nas.testing.toy import BLOCKS, Toy

UNITS = "model: toy\nchoices:\n  heads: {size: [1, 2, 3]}\n  mlp: {size: {from: 1, to: 192, step: 1}}\n"


@pytest.mark.parametrize(
    ("ranking", "ratio", "early", "late", "hidden"),
    [
        ("global", 9 / 1170, 3, 1, 192),  # the nine least of all units are the heads of blocks 3 to 5; one must stay
        ("global_per_kind", 0.5, 3, 1, 96),  # half of all heads, and half of all hidden units
        ("per_layer", 0.33, 2, 2, 128),  # one head of three, 64 hidden units of 192, in every block
    ],
)
def test_rankings(ranking: Comparison, ratio: float, early: int, late: int, hidden: int) -> None:
    problem = Toy(UNITS).problem(trials=1)
    scores = {f"heads.{b}": np.array([30.0, 20.0, 10.0]) / (1 if b < 3 else 10) for b in range(BLOCKS)}
    scores |= {f"mlp.{b}": np.full(192, 1000.0) for b in range(BLOCKS)}
    sizes = problem.space.sizes(Threshold(ranking=ranking, ratio=ratio).size(problem, scores))
    assert [sizes[f"heads.{b}"] for b in range(BLOCKS)] == [early] * 3 + [late] * 3
    assert {sizes[f"mlp.{b}"] for b in range(BLOCKS)} == {hidden}, "equal scores are cut evenly from all axes"


def test_each_dimension_may_have_a_ratio() -> None:
    """Half of the heads and a quarter of the hidden units; without a ratio of its own, a dimension stays whole."""
    toy = Toy(UNITS)
    problem = toy.problem(trials=1)
    rng = np.random.default_rng(0)
    axes = [*(f"heads.{b}" for b in range(BLOCKS)), *(f"mlp.{b}" for b in range(BLOCKS))]
    scores = {axis: np.sort(rng.random(problem.space.outline.axes[axis]))[::-1] for axis in axes}

    def kept(ratio: float | dict[str, float], **limit: str) -> dict[str, float]:
        of = toy.problem(trials=1, limit=Limit(toy, **limit) if limit else None)
        sizes = of.space.sizes(Threshold(ranking="global_per_kind", ratio=ratio).size(of, scores))
        sums = {name: sum(sizes[f"{name}.{b}"] for b in range(BLOCKS)) for name in ("heads", "mlp")}
        return {"heads": sums["heads"] / (3 * BLOCKS), "mlp": sums["mlp"] / (192 * BLOCKS)}

    both = kept({"heads": 0.5, "mlp": 0.25})
    assert both["heads"] == kept(0.5)["heads"]
    assert both["mlp"] == kept(0.25)["mlp"] == 0.75
    assert kept({"mlp": 0.25}) == {"heads": 1.0, "mlp": 0.75}
    # A limit that asks for more: heads follow only when the threshold passes their ratio, hidden units from the first.
    more = kept({"heads": 0.5}, macs="70%")
    assert more["mlp"] < 1
    assert more["heads"] <= kept(0.5)["heads"]


def test_ratios_of_what_is_not_chosen_or_not_apart_are_refused() -> None:
    problem = Toy(UNITS).problem(trials=1)
    with pytest.raises(StrategyError, match=r"ratio\.mlq: the space does not choose it; allowed: heads, mlp.*'mlp'"):
        Threshold(ranking="per_layer", ratio={"mlq": 0.5}).check(problem)
    with pytest.raises(StrategyError, match="a ratio for each dimension, and ranking: global"):
        Threshold(ratio={"mlp": 0.5}).check(problem)


def test_normalised_scores_do_not_depend_on_the_scale_of_a_layer() -> None:
    problem = Toy(UNITS).problem(trials=1)
    generator = torch.Generator().manual_seed(0)
    even = {
        axis: torch.rand(problem.space.outline.axes[axis], generator=generator).sort(descending=True).values
        for axis in sorted(problem.space.axes)
    }
    scaled = {axis: scores * (1000 if axis == "mlp.2" else 1) for axis, scores in even.items()}
    plain, normal = Threshold(ratio=0.5), Threshold(ratio=0.5, normalise=True)
    assert normal.choose(problem, scaled) == normal.choose(problem, even)
    assert problem.space.sizes(plain.choose(problem, scaled))["mlp.2"] == 192
    assert problem.space.sizes(normal.choose(problem, scaled))["mlp.2"] < 192
    assert problem.space.sizes(normal.choose(problem, {**even, "mlp.2": torch.zeros(192)}))["mlp.2"] == 1


def test_no_scores_are_an_error() -> None:
    with pytest.raises(StrategyError, match="importance 'magnitude' scores no axis"):
        Threshold(ratio=0.5).choose(Toy(UNITS).problem(trials=1), {})


def test_energy_keeps_the_same_share_of_importance_everywhere() -> None:
    """An axis whose importance sits in few units is cut further than one where all count alike."""
    problem = Toy(UNITS).problem(trials=1)
    steep = np.array([0.9, 0.06, 0.04])
    scores = {f"heads.{b}": steep if b < 3 else np.full(3, 1 / 3) for b in range(BLOCKS)}
    for ratio, kept in (
        (0.03, [3] * 6),
        (0.05, [2] * 3 + [3] * 3),
        (0.11, [1] * 3 + [3] * 3),
        (0.4, [1] * 3 + [2] * 3),
    ):
        sizes = problem.space.sizes(Threshold(ranking="energy", ratio=ratio).size(problem, scores))
        assert [sizes[f"heads.{b}"] for b in range(BLOCKS)] == kept, ratio


def test_energy_meets_a_limit_exactly_once() -> None:
    """Without a ratio, the largest share that the limit allows: one unit more anywhere would be over it."""
    toy = Toy(UNITS)
    problem = toy.problem(trials=1, limit=Limit(toy, macs="60%"))
    assert problem.limit is not None
    rng = np.random.default_rng(0)
    scores = {f"mlp.{b}": np.sort(rng.exponential(size=192))[::-1] for b in range(BLOCKS)}
    table = Threshold(ranking="energy").table(problem, scores)
    allowed = problem.limit.allows(table)
    first = int(allowed.argmax())
    assert first > 0
    assert not allowed[:first].any()
    assert Threshold(ranking="energy").size(problem, scores) == problem.space.from_table(table[first : first + 1])[0]


def test_several_criteria_score_one_after_the_other() -> None:
    """Gates for hidden units and singular values for ranks, in one strategy."""
    both = [{"use": "magnitude"}, {"use": "directions", "method": "qr_pivoted"}]
    assert [type(each).__name__ for each in Threshold(importance=both).criteria()] == ["Magnitude", "OfDirections"]
    with pytest.raises(ValueError, match="an empty list; allowed: at least one criterion"):
        TypeAdapter(Threshold).validate_python({"importance": []})
    with pytest.raises(ValueError, match=r"found 'magnitud'; allowed: .*did you mean 'magnitude'"):
        TypeAdapter(Threshold).validate_python({"importance": ["magnitud"]})
