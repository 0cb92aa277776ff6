"""The lattice against brute force: counts, uniformity, optima; and at sizes where only the lattice can answer."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_fakes import FakeCost, deit, space_of

from nas.errors import LimitError, SpaceError
from nas.searchspaces import Additive, Factor
from nas.searchspaces.counting.elimination import steps
from nas.searchspaces.counting.lattice import Lattice

INFINITE = (-math.inf, math.inf)


class Case:
    """A random problem small enough to list: factors over any choices, in any order, rules and bounds included."""

    def __init__(self, seed: int, costs: int, spread: int = 20) -> None:
        rng = np.random.default_rng(seed)
        self.n_values = tuple(int(n) for n in rng.integers(1, 5, rng.integers(1, 7)))
        self.rules = [self.factor(rng, rule=True) for _ in range(rng.integers(0, 4))]
        self.costs = [
            Additive(
                int(rng.integers(-9, 9)),
                tuple(self.factor(rng, spread) for _ in range(rng.integers(1, 7))),
                tuple(self.factor(rng, spread) for _ in range(rng.integers(0, 4))),
            )
            for _ in range(costs)
        ]
        self.table = np.indices(self.n_values).reshape(len(self.n_values), -1).T
        self.allowed = np.ones(len(self.table), bool)
        for rule in self.rules:
            self.allowed &= rule(self.table)
        self.values = [cost(self.table) for cost in self.costs]
        self.bounds = [self.bound(rng, values) for values in self.values]
        self.feasible = self.allowed.copy()
        for values, (low, high) in zip(self.values, self.bounds, strict=True):
            self.feasible &= (values >= low) & (values <= high)
        self.rng = rng

    def factor(self, rng, spread: int = 20, *, rule: bool = False) -> Factor:
        scope = rng.choice(len(self.n_values), rng.integers(0, min(len(self.n_values), 3) + 1), replace=False)
        shape = [self.n_values[c] for c in scope]
        table = rng.random(shape) < 0.8 if rule else 3 * rng.integers(-5, spread, shape)
        return Factor(tuple(int(c) for c in scope), np.asarray(table, bool if rule else np.int64))

    @staticmethod
    def bound(rng, values) -> tuple[float, float]:
        low, high = sorted(float(v) for v in rng.choice(values, 2))
        kind = rng.integers(4)
        return (low if kind in (0, 1) else -math.inf, high + 0.5 * (kind == 1) if kind != 0 else math.inf)

    def lattice(self, **options) -> Lattice:
        return Lattice(self.n_values, self.rules, self.costs, self.bounds, **options)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_count_range_samples_and_optimum_are_those_of_brute_force(seed, costs):
    case = Case(seed, costs)
    lattice = case.lattice()
    assert lattice.exact
    assert lattice.count == case.feasible.sum()
    assert isinstance(lattice.count, int)
    if case.allowed.any():
        assert list(lattice.reachable) == [(v[case.allowed].min(), v[case.allowed].max()) for v in case.values]
    if not lattice.count:
        return
    rows = {tuple(row) for row in case.table[case.feasible]}
    drawn = {tuple(row) for row in lattice.sample(case.rng, 30 * len(rows) if len(rows) < 30 else 300)}
    assert drawn <= rows
    assert len(rows) >= 30 or drawn == rows
    scores = [case.rng.normal(size=n) for n in case.n_values]
    totals = sum(score[case.table[:, c]] for c, score in enumerate(scores))
    best = lattice.best(scores)
    assert tuple(best) in rows
    assert sum(score[best[c]] for c, score in enumerate(scores)) == pytest.approx(totals[case.feasible].max())


def chi_square(lattice: Lattice, rows: np.ndarray, each: int = 500) -> float:
    """How many standard deviations the draws are from uniform over `rows`."""
    place = {tuple(row): i for i, row in enumerate(rows)}
    drawn = lattice.sample(np.random.default_rng(0), each * len(rows))
    counts = np.bincount([place[tuple(row)] for row in drawn], minlength=len(rows))
    freedom = len(rows) - 1
    return float((((counts - each) ** 2 / each).sum() - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("seed", [3, 12, 30])
@pytest.mark.parametrize("costs", [1, 2])
def test_draws_are_uniform(seed, costs):
    case = next(c for s in range(seed * 100, seed * 100 + 99) if 20 < (c := Case(s, costs)).feasible.sum() < 300)
    assert abs(chi_square(case.lattice(), case.table[case.feasible])) < 4


def test_the_test_of_uniformity_can_fail():
    """Draws that take every choice by itself and drop what does not fit would fail it; so does one row too many."""
    factor = Factor((0, 1), np.array([[True, True], [True, False]]))
    lattice = Lattice((2, 2), [factor])
    good = np.array([[0, 0], [0, 1], [1, 0]])
    assert abs(chi_square(lattice, good)) < 4
    assert chi_square(lattice, np.array([[0, 0], [0, 1], [1, 0], [1, 1]])) > 100


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, 12))
def test_bins_never_let_anything_through_and_keep_the_cheapest(seed, costs, most):
    case = Case(seed, costs, spread=10**6)
    lattice = case.lattice(max_states=most)
    assert lattice.count <= case.feasible.sum()
    assert lattice.count == case.feasible.sum() or not lattice.exact
    rows = {tuple(row) for row in case.table[case.feasible]}
    if lattice.count:
        assert {tuple(row) for row in lattice.sample(case.rng, 200)} <= rows
        assert tuple(lattice.best([np.zeros(n) for n in case.n_values])) in rows
    upper_only = costs == 1 and case.bounds[0][0] == -math.inf
    if upper_only and rows:
        assert lattice.count, "one upper bound that can be met is always met"


@pytest.mark.parametrize("part", [1e-4, 1e-3, 0.01, 0.05, 0.2])
def test_however_coarse_the_bins_one_upper_bound_that_can_be_met_is_met(part):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        cost = Additive(0, tuple(Factor((c,), rng.integers(0, 10**9, 4)) for c in range(10)))
        low, high = Lattice((4,) * 10, (), [cost], [INFINITE]).reachable[0]
        lattice = Lattice((4,) * 10, (), [cost], [(-math.inf, low + part * (high - low))], max_states=3)
        assert lattice.count >= 1
        assert cost(lattice.sample(rng, 1))[0] <= low + part * (high - low)


def test_binned_draws_are_uniform_over_what_is_represented():
    rng = np.random.default_rng(0)
    cost = Additive(0, tuple(Factor((c,), rng.integers(0, 10**9, 4)) for c in range(5)))
    table = np.indices((4,) * 5).reshape(5, -1).T
    limit = float(np.median(cost(table)))
    lattice = Lattice((4,) * 5, (), [cost], [(-math.inf, limit)], max_states=16)
    assert not lattice.exact
    feasible = (cost(table) <= limit).sum()
    assert 0.5 * feasible < lattice.count < feasible
    drawn = lattice.sample(np.random.default_rng(1), 400 * lattice.count)
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(rows) == lattice.count
    chi = ((counts - 400) ** 2 / 400).sum()
    assert abs(chi - len(rows)) < 4 * np.sqrt(2 * len(rows))


def test_deit_tiny_is_exact_with_one_and_with_two_limits():
    space = space_of(deit(), heads="{size: [1, 2, 3]}", mlp="{size: [192, 384, 576, 768]}")
    cost = FakeCost(space, 192)
    macs, params = cost.additive("macs"), cost.additive("params")
    half, most = 0.5 * cost.base("macs"), 0.6 * cost.base("params")
    lattice = Lattice(space.n_values, (), [macs, params], [(-math.inf, half), (0.3 * most, most)])
    assert lattice.exact
    # Independent count: blocks of equal cost, so only the numbers of heads and of hidden units matter.
    heads, hidden = (np.array([1], object) for _ in range(2))
    for _ in range(12):
        heads, hidden = np.convolve(heads, [1, 1, 1]), np.convolve(hidden, [1, 1, 1, 1])
    count = 0
    for h, ways in enumerate(heads):
        for m, more in enumerate(hidden):
            units = 4 * 64 * (h + 12) + 2 * 192 * (m + 12)
            fits = 1000 + 197 * 192 * units <= half and 0.3 * most <= 1000 + 192 * units <= most
            count += ways * more * fits
    assert lattice.count == count


def test_one_in_a_million_is_drawn_directly():
    space = space_of(deit(), heads="{size: [1, 2, 3]}", mlp="{size: [192, 384, 576, 768]}")
    macs = FakeCost(space, 192).additive("macs")
    low, high = Lattice(space.n_values, (), [macs], [INFINITE]).reachable[0]
    limit = low + 0.1 * (high - low)
    lattice = Lattice(space.n_values, (), [macs], [(-math.inf, limit)])
    assert 1e-9 < lattice.count / space.size < 1e-6
    drawn = lattice.sample(np.random.default_rng(0), 2000)
    assert (macs(drawn) <= limit).all()
    assert len(np.unique(drawn, axis=0)) > 1990


def test_tokens_that_never_grow_in_two_limits_and_a_band():
    """Costs that are products of tokens and widths have no common unit, so this lattice is binned."""
    space = space_of(
        deit(),
        heads="{size: [1, 2, 3]}",
        mlp="{size: [192, 384, 576, 768]}",
        tokens="{keep: [0.5, 0.7, 0.85, 1.0]}",
    )
    cost = FakeCost(space, 192)
    macs, params = cost.additive("macs"), cost.additive("params")
    bounds = [(0.4 * cost.base("macs"), 0.5 * cost.base("macs")), (-math.inf, 0.7 * cost.base("params"))]
    lattice = Lattice(space.n_values, space.rules, [macs, params], bounds, max_states=2**14)
    free = space.sample_table(np.random.default_rng(0), 200_000)
    fits = (macs(free) >= bounds[0][0]) & (macs(free) <= bounds[0][1]) & (params(free) <= bounds[1][1])
    assert 0.75 < lattice.count / space.size / fits.mean() < 1.02
    drawn = lattice.sample(np.random.default_rng(1), 2000)
    assert ((macs(drawn) >= bounds[0][0]) & (macs(drawn) <= bounds[0][1]) & (params(drawn) <= bounds[1][1])).all()
    tokens = drawn[:, [list(space).index(f"tokens.{b}") for b in range(12)]]
    assert all((a >= b).all() for a, b in pairwise(tokens.T))
    for c in range(len(space)):
        expected = np.bincount(free[fits, c], minlength=space.n_values[c]) / fits.sum()
        found = np.bincount(drawn[:, c], minlength=space.n_values[c]) / len(drawn)
        assert np.abs(found - expected).max() < 0.06, list(space)[c]


@pytest.mark.parametrize("depth", ["", "{depth: [6, 8, 10, 12]}"])
def test_choices_with_global_reach_stay_in_the_frontier(depth):
    bodies = {"mlp": "{size: [0.5, 1.0]}", "tokens": "{keep: [0.5, 1.0], per: model}", "heads": "{size: [1, 3]}"}
    space = space_of(deit(), **bodies, **({"depth": depth} if depth else {}))
    cost = FakeCost(space, 192)
    lattice = Lattice(space.n_values, space.rules, [cost.additive("macs")], [(-math.inf, 0.4 * cost.base("macs"))])
    assert lattice.exact
    drawn = lattice.sample(np.random.default_rng(0), 500)
    assert (space.canonical(drawn) == drawn).all()
    free = space.sample_table(np.random.default_rng(1), 100_000)
    share = (cost.additive("macs")(free) <= 0.4 * cost.base("macs")).mean()
    assert lattice.count / space.size == pytest.approx(share, rel=0.05)


def test_the_order_of_the_choices_does_not_matter():
    """A space lists all heads, then all hidden units, then all tokens; the frontier must still be one block wide."""
    bodies = {"heads": "{size: [1, 2, 3]}", "mlp": "{size: [0.5, 1.0]}", "tokens": "{keep: [0.5, 0.7, 1.0]}"}
    for names in (["heads", "mlp", "tokens"], ["tokens", "mlp", "heads"]):
        space = space_of(deit(), **{name: bodies[name] for name in names})
        plan = steps(space.n_values, space.rules, [FakeCost(space).additive("macs")])
        assert max(step.follow.max() + 1 for step in plan) <= 3 * 3 * 3
        assert sorted(step.choice for step in plan) == list(range(36))


def test_choices_that_all_depend_on_each_other_are_refused_not_tabulated():
    pairs = [Factor((a, b), np.arange(16).reshape(4, 4)) for a in range(14) for b in range(a)]
    with pytest.raises(SpaceError, match="depend on each other"):
        Lattice((4,) * 14, (), [Additive(0, tuple(pairs))], [INFINITE])


def test_an_empty_lattice_says_so():
    lattice = Lattice((2, 2), [Factor((0, 1), np.zeros((2, 2), bool))])
    assert lattice.count == 0
    with pytest.raises(LimitError):
        lattice.sample(np.random.default_rng(0), 1)
    with pytest.raises(LimitError):
        lattice.best([np.zeros(2)] * 2)


def test_a_bound_that_nothing_can_meet_empties_the_lattice():
    cost = Additive(0, (Factor((0,), np.array([10, 20])),))
    for bound in ((11, 19), (21, math.inf), (-math.inf, 9), (math.inf, math.inf), (-math.inf, -math.inf)):
        assert Lattice((2,), (), [cost], [bound]).count == 0
    for bound, rows in (((10, 10), [[0]]), ((20, 20.5), [[1]]), ((9.5, 19.9), [[0]])):
        assert Lattice((2,), (), [cost], [bound]).sample(np.random.default_rng(0), 3).tolist() == rows * 3


def test_no_rows_can_be_asked_for():
    assert Lattice((2, 3)).sample(np.random.default_rng(0), 0).shape == (0, 2)


def test_counts_beyond_the_range_of_floats():
    n = (100,) * 400
    assert Lattice(n).count == 100**400
    cost = Additive(0, tuple(Factor((c,), np.arange(100) // 50) for c in range(400)))
    half = Lattice(n, (), [cost], [(-math.inf, 199.5)])
    everything = 100**400
    tie = math.comb(400, 200) / 2**400
    assert half.count / everything == pytest.approx((1 - tie) / 2, rel=1e-9)
    assert (cost(half.sample(np.random.default_rng(0), 20)) <= 199).all()
