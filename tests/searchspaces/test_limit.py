import math
import re

import numpy as np
import pytest
from space_fakes import FakeCost, deit, rows, small, space_of

from nas.errors import LimitError
from nas.searchspaces import Limit


@pytest.fixture(scope="module")
def cost() -> FakeCost:
    return FakeCost(space_of(small(), heads="{size: [1, 2, 3]}", mlp="{size: [3, 6, 12]}", depth="{depth: [2, 3]}"))


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"macs": 160_000}, {"macs": (-math.inf, 160_000)}),
        ({"flops": 320_000}, {"macs": (-math.inf, 160_000)}),
        ({"macs": "50%"}, {"macs": (-math.inf, 0.5)}),
        ({"params": " 62.5 % "}, {"params": (-math.inf, 0.625)}),
        ({"macs": ("40%", "50%"), "params": (1, "80%")}, {"macs": (0.4, 0.5), "params": (1, 0.8)}),
        ({"macs": [None, "50%"]}, {"macs": (-math.inf, 0.5)}),
        ({"macs": ("50%", None)}, {"macs": (0.5, math.inf)}),
        ({"flops": (0, 320_000)}, {"macs": (-math.inf, 160_000)}),
    ],
)
def test_bounds_are_in_macs_and_parameters(cost, bounds, expected):
    wanted = {
        metric: tuple(b * cost.base(metric) if abs(b) < 1 else b for b in pair) for metric, pair in expected.items()
    }
    limit = Limit(cost, **bounds)
    assert limit.bounds == wanted
    table = rows(cost.space)
    allowed = np.ones(len(table), bool)
    for metric, (low, high) in wanted.items():
        values = cost.additive(metric)(table)
        allowed &= (values >= low) & (values <= high)
    assert allowed.any()
    assert (limit.allows(table) == allowed).all()
    assert limit.lattice.count == allowed.sum()
    assert limit.share == allowed.sum() / cost.space.size


def test_allows_answers_in_the_form_of_the_question(cost):
    limit = Limit(cost, macs="50%")
    space = cost.space
    assert limit.allows(space.smallest) is True
    assert limit.allows(space.largest) is False
    assert limit.allows([space.smallest, space.largest]).tolist() == [True, False]
    assert limit.allows(space.to_table([space.largest])).tolist() == [False]


def test_a_space_draws_within_a_limit(cost):
    limit = Limit(cost, macs="50%", params="60%")
    drawn = cost.space.sample_table(np.random.default_rng(0), 500, limit)
    assert limit.allows(drawn).all()
    assert (cost.space.canonical(drawn) == drawn).all()
    assert limit.allows(cost.space.sample(np.random.default_rng(0), limit))


def test_an_unsatisfiable_limit_names_what_was_asked_and_what_is_reachable(cost):
    least, most = (
        cost.additive("macs")(cost.space.to_table([a]))[0] for a in (cost.space.smallest, cost.space.largest)
    )
    with pytest.raises(LimitError) as caught:
        Limit(cost, macs=20_000)
    words = str(caught.value)
    assert words.startswith("no architecture has macs <= 20 k (flops <= 40 k); reachable: ")
    numbers = [float(number) * 1000 for number in re.findall(r"[\d.]+(?= k)", words.partition("reachable")[2])]
    assert numbers == pytest.approx([least, most, 2 * least, 2 * most], rel=1e-3)
    with pytest.raises(LimitError, match=r"no architecture has params >= .*reachable"):
        Limit(cost, params=(10**12, None))


def test_a_band_between_two_architectures_and_limits_that_exclude_each_other(cost):
    values = np.unique(cost.additive("macs")(rows(cost.space)))
    with pytest.raises(LimitError, match=r"reachable, each by itself: macs .* to .*widen a bound"):
        Limit(cost, macs=(float(values[3]) + 1, float(values[4]) - 1))
    with pytest.raises(LimitError, match=r"no architecture has macs <= .* and params >= .*flops"):
        Limit(cost, macs="45%", params=("95%", None))


@pytest.mark.parametrize(
    "value", [0, -1, True, math.nan, math.inf, "x", "50", "0%", "-5%", "101%", "nan%", (1,), (2, 1), (None, None)]
)
def test_what_is_no_bound_is_refused_with_what_is_allowed(cost, value):
    with pytest.raises(
        LimitError, match=r"limit 'macs': found .*allowed: a number.* or per cent .*above 0 .*\(least, greatest\)"
    ):
        Limit(cost, macs=value)


def test_more_than_the_base_model_is_a_limit_only_where_it_can_be_reached(cost):
    class Dear(FakeCost):
        def base(self, metric: str) -> int:
            return super().base(metric) // 2

    assert Limit(Dear(cost.space), macs="150%").share < 1
    with pytest.raises(LimitError, match="at most '200%'"):
        Limit(Dear(cost.space), macs="201%")


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({}, "at least one of macs, flops, params"),
        ({"mac": 1}, r"unknown limit 'mac'; allowed: macs, flops, params; did you mean 'macs'\?"),
        ({"macs": 1e5, "flops": 1e5}, "macs and flops bound the same"),
    ],
)
def test_keys(cost, bounds, message):
    with pytest.raises(LimitError, match=message):
        Limit(cost, **bounds)


def test_a_limit_describes_itself_in_both_units(cost):
    limit = Limit(cost, macs=(150_000, 160_000), params="100%")
    assert limit.describe().startswith("macs 150 k to 160 k (flops 300 k to 320 k) and params <= ")
    assert limit.describe() in repr(limit)


def test_a_limit_that_allows_everything_is_no_limit(cost):
    assert Limit(cost, macs=1e15).share == 1.0


def test_a_narrow_band_in_a_binned_space_is_found_at_the_second_try(monkeypatch):
    """With 64 states the first lattice finds nothing although something fits; the finer one does."""
    from nas.searchspaces import limit as module

    space = space_of(deit(), mlp="{size: [0.3, 0.55, 0.81, 1.0]}", tokens="{keep: [0.5, 0.7, 0.85, 1.0]}")
    cost = FakeCost(space, 192)
    tried: list[int] = []
    original = module.Lattice

    def coarse(n_values, rules, costs, bounds, max_states=64):
        tried.append(max_states)
        return original(n_values, rules, costs, bounds, min(max_states, 2**14))

    monkeypatch.setattr(module, "Lattice", coarse)
    base = cost.base("macs")
    limit = Limit(cost, macs=(0.5 * base, 0.5001 * base))
    assert tried == [64, 64, 2**18]
    assert limit.allows(space.sample_table(np.random.default_rng(0), 100, limit)).all()


def test_all_bounds_that_cannot_be_read_at_once(cost):
    with pytest.raises(LimitError) as caught:
        Limit(cost, macs="150%", foo=1, params=-3, flops="x")
    lines = str(caught.value).splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "limit 'macs': found '150%'",
        "unknown limit 'foo'",
        "limit 'params': found -3",
        "macs and flops bound the same (flops = 2 x macs): give one of them",
    ]


def test_a_limit_is_on_costs(cost):
    class Supernet:
        def __init__(self) -> None:
            self.cost = cost

    with pytest.raises(LimitError, match=r"found a Supernet; .*; pass supernet\.cost$"):
        Limit(Supernet(), macs="50%")
    with pytest.raises(LimitError, match=r"found a NoneType"):
        Limit(None, macs="50%")


def test_a_bound_beyond_floats_is_refused(cost):
    with pytest.raises(LimitError, match="limit 'macs': found 1000"):
        Limit(cost, macs=10**400)
