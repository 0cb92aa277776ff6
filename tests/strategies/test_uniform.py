"""Uniform search draws evenly, within the limit, and repeats itself only when it must."""

from collections import Counter

import numpy as np

from nas.searchspaces.limit import Limit
from nas.strategies.uniform import Uniform
from nas.testing.toy import TINY, Toy


def test_all_of_a_small_space_is_seen_before_anything_repeats() -> None:
    toy = Toy(TINY)
    trials = list(Uniform().search(toy.search(trials=12)))
    assert len({trial.architecture for trial in trials[:9]}) == 9
    assert [trial.cached for trial in trials] == [False] * 9 + [True] * 3


def test_draws_are_even() -> None:
    toy = Toy(TINY)
    limit = Limit(toy, macs="60%")
    searches = [toy.search(trials=1, seed=seed, limit=limit) for seed in range(600)]
    counts = Counter(next(Uniform().search(search)).architecture for search in searches)
    everything = toy.space.from_table(np.unique(toy.space.sample_table(np.random.default_rng(0), 500), axis=0))
    assert len(everything) == 9
    assert set(counts) == {architecture for architecture in everything if limit.allows(architecture)}
    expected = 600 / len(counts)
    assert all(0.7 * expected < n < 1.3 * expected for n in counts.values())


def test_a_larger_budget_continues_the_same_search() -> None:
    toy = Toy()
    short = [trial.architecture for trial in Uniform().search(toy.search(trials=5))]
    long = [trial.architecture for trial in Uniform().search(toy.search(trials=9))]
    assert long[:5] == short
