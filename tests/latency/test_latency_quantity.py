"""Latency of a table as a cost: counted, bounded, drawn within, wanted, and differentiable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from latency_tables import CONSTANT, UNIT, by_units

from nas import Architecture, Limit, SearchSpace
from nas.errors import LimitError
from nas.supernets import Cost
from nas.supernets.of_space import cost_of

SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 8, patch_size: 4, in_chans: 1, embed_dim: 16, depth: 2, num_heads: 2, num_classes: 10}
choices:
  depth: {depth: [1, 2]}
  heads: {size: [1, 2]}
  mlp: {size: {from: 8, to: 64, step: 8}}
"""
BASE = CONSTANT + UNIT * (2 + 2 * 2 + 2 * 64)


@pytest.fixture(scope="module")
def cost() -> Cost:
    space = SearchSpace.from_yaml(SPACE)
    return cost_of(space).beside({"latency": by_units(space).tabulated(space)})


def units(architecture: Architecture) -> int:
    return sum(int(value) for value in architecture.values())


def test_it_stands_beside_what_is_counted(cost: Cost) -> None:
    smallest = cost.counts(cost.space.smallest)
    assert list(smallest) == ["macs", "params", "latency", "throughput"]
    assert smallest["latency"] == CONSTANT + UNIT * units(cost.space.smallest)
    assert cost.base("latency") == cost.bases["latency"] == BASE
    rows = cost.space.sample_table(np.random.default_rng(0), 50)
    wanted = [CONSTANT + UNIT * units(one) for one in cost.space.from_table(rows)]
    assert cost.of("latency", rows).tolist() == wanted


@pytest.mark.parametrize(("bound", "most"), [("70%", 0.7 * BASE), ("100 us", 100_000), ("0.1 ms", 100_000), (1e5, 1e5)])
def test_a_limit_of_it_is_counted_and_kept_exactly(cost: Cost, bound: str | float, most: float) -> None:
    every = cost.of("latency", cost.space.sample_table(np.random.default_rng(1), 4000))
    limit = Limit(cost, latency=bound)
    assert limit.bounds == {"latency": (-np.inf, pytest.approx(most))}
    assert limit.lattice.exact
    assert limit.share == pytest.approx((every <= most).mean(), abs=0.03)
    drawn = cost.space.sample_table(np.random.default_rng(0), 300, limit)
    assert cost.of("latency", drawn).max() <= most
    scores = [np.arange(n, dtype=float) for n in cost.space.n_values]
    (best,) = cost.space.from_table(limit.lattice.best(scores))
    assert most - 8 * UNIT < cost.counts(best)["latency"] <= most
    assert limit.describe() == f"latency <= {'107.8' if bound == '70%' else '100'} us"


def test_it_is_bounded_together_with_what_is_counted(cost: Cost) -> None:
    limit = Limit(cost, latency=("60 us", "80%"), macs="60%")
    drawn = cost.space.sample_table(np.random.default_rng(0), 200, limit)
    times, macs = cost.of("latency", drawn), cost.macs(drawn)
    assert times.min() >= 60_000
    assert times.max() <= 0.8 * BASE
    assert macs.max() <= 0.6 * cost.base("macs")


def test_its_mean_over_independent_choices_is_exact_and_differentiable(cost: Cost) -> None:
    weights = [torch.full((n,), 1 / n, dtype=torch.float64, requires_grad=True) for n in cost.space.n_values]
    mean = cost.expected("latency", weights)
    assert float(mean.detach()) == pytest.approx(CONSTANT + UNIT * (1.5 + 2 * 1.5 + 2 * 36))
    mean.backward()
    assert weights[-1].grad is not None
    assert weights[-1].grad.diff().tolist() == [8 * UNIT] * 7


def test_with_gates_it_lies_on_straight_lines_between_the_sizes_of_the_space(cost: Cost) -> None:
    assert cost.of_sizes("latency", {}) == BASE
    gate = torch.full((64,), 0.5, requires_grad=True)
    time = cost.of_gates("latency", {"mlp.0": gate})
    assert float(time.detach()) == BASE - 32 * UNIT
    time.backward()
    assert gate.grad is not None
    assert set(gate.grad.tolist()) == {UNIT}
    assert cost.of_sizes("latency", {"mlp.0": 20}) == BASE - 44 * UNIT
    assert cost.of_sizes("latency", {"mlp.0": 1}) == BASE - 56 * UNIT, "less than anybody measured counts as the least"
    assert cost.of_sizes("latency", {"depth.1": 0}) == BASE - UNIT


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ("3 GB", "found '3 GB'; allowed: a number, also with ns, us, ms or s, or per cent of the base model"),
        ("3 ms", None),
        ("5 us", "no architecture has latency <= 5 us; reachable: "),
    ],
)
def test_what_is_no_bound_of_it_is_refused_in_its_own_units(cost: Cost, bound: str, said: str | None) -> None:
    if said is None:
        assert Limit(cost, latency=bound).share == 1
        return
    with pytest.raises(LimitError, match=said):
        Limit(cost, latency=bound)


def test_without_a_table_it_says_where_to_get_one() -> None:
    with pytest.raises(LimitError, match=r"'latency' is known from a table alone \(nas bench STUDY --to FILE\), which"):
        Limit(cost_of(SearchSpace.from_yaml(SPACE)), latency="70%")


def test_throughput_is_the_other_way_round_and_a_number_is_the_least(cost: Cost) -> None:
    """In batches of two; exactly the architectures whose latency is low enough."""
    per_second = 2 * 1e9 / BASE
    assert cost.base("throughput") == int(3600 * per_second)
    rows = cost.space.sample_table(np.random.default_rng(1), 500)
    assert (cost.of("throughput", rows) == (2 * 3600e9 // cost.of("latency", rows))).all()
    limit = Limit(cost, throughput=f"{1.5 * per_second} images/s")
    assert limit.bounds == {"latency": (0, pytest.approx(BASE / 1.5))}
    assert Limit(cost, throughput="150%").bounds["latency"][1] == pytest.approx(BASE / 1.5)
    drawn = cost.space.sample_table(np.random.default_rng(0), 200, limit)
    assert cost.of("throughput", drawn).min() >= 1.5 * 3600 * per_second - 1
    low, high = Limit(cost, throughput=("110%", "150%")).bounds["latency"]
    assert (low, high) == (pytest.approx(BASE / 1.5), pytest.approx(BASE / 1.1))
    assert cost.of_sizes("throughput", {}) == pytest.approx(3600 * per_second)
    with pytest.raises(LimitError, match="throughput is so many for each of latency"):
        Limit(cost, throughput="150%", latency="90%")
    with pytest.raises(LimitError, match=r"limit 'throughput': found '900%'; allowed: .* at most '"):
        Limit(cost, throughput="900%")


def test_several_tables_have_names() -> None:
    space = SearchSpace.from_yaml(SPACE)
    tables = {"latency.phone": by_units(space).tabulated(space), "latency.server": by_units(space, 10).tabulated(space)}
    cost = cost_of(space).beside(tables)
    assert {*tables, "throughput.phone", "throughput.server"} <= set(cost.bases)
    limit = Limit(cost, **{"latency.phone": "70%", "latency.server": "98%"})
    drawn = space.sample_table(np.random.default_rng(0), 100, limit)
    assert cost.of("latency.phone", drawn).max() <= 0.7 * cost.base("latency.phone")
    assert limit.describe() == "latency.phone <= 107.8 us and latency.server <= 20.91 us"
    for name, said in (("latency.tablet", "known from a table alone"), ("macs.phone", "unknown limit 'macs.phone'")):
        with pytest.raises(LimitError, match=said):
            Limit(cost, **{name: "70%"})
