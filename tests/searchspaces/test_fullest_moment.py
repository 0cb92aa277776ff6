"""A cost with a maximum in it at the size of a DeiT-Ti; small ones are held against brute force in `test_lattice`."""

from __future__ import annotations

import math

import numpy as np
from space_fakes import FakeCost, deit, space_of

from nas.searchspaces import Additive, Factor
from nas.searchspaces.counting.lattice import Lattice


def test_what_blocks_need_one_after_the_other_is_one_number_that_is_passed_on() -> None:
    """Also where tokens may drop: the lattice stays exact, and all that is drawn keeps to the limit."""
    space = space_of(deit(), heads="{size: [1, 2, 3]}", mlp="{size: [192, 384, 576, 768]}")
    blocks = [tuple(list(space).index(f"{name}.{b}") for name in ("heads", "mlp")) for b in range(12)]
    need = 10**6 * np.maximum(np.array([90, 180, 270])[:, None], np.array([60, 120, 180, 240]))
    head = Factor((), np.array(80 * 10**6, np.int64))
    params = FakeCost(space, 192).additive("params")
    cost = Additive(0, params.factors, (*(Factor(scope, need) for scope in blocks), head))
    assert set(cost.as_sum(space.n_values).lengths[24:]) == {5}, "90, 120, 180, 240 and 270"
    every = space.sample_table(np.random.default_rng(0), 50_000)
    most = 250 * 10**6
    lattice = Lattice(space.n_values, (), [cost], [(-math.inf, most)])
    assert lattice.exact
    drawn = lattice.sample(np.random.default_rng(1), 1000)
    assert cost(drawn).max() <= most
    assert lattice.reachable[0] == (cost(np.zeros((1, 24), int))[0], cost(np.full((1, 24), 2 + np.arange(24) // 12))[0])
    fits = (cost(every) <= most).mean()
    assert abs(lattice.count / space.size - fits) < 4 * math.sqrt(fits * (1 - fits) / len(every))
