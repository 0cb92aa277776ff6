"""Whom a rule draws: each sampling gives architectures of the space, within a limit where it keeps to one, and its own
distribution.
"""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from torch import nn
from training_fakes import context

from nas.documents.plugged import plugin_of
from nas.errors import ConfigError, TrainingError
from nas.searchspaces import Limit, SearchSpace
from nas.supernets import Supernet, build
from nas.training.rules.sandwich import Sandwich
from nas.training.sampling import SAMPLING, Domain, SubnetSampling, find, names
from nas.training.sampling.fair import FairSampling
from nas.training.sampling.sized import SizedSampling

SPACE = SearchSpace.from_yaml("searchspaces/vit_digits.yaml")
COST = Supernet(build(SPACE.model, SPACE.model_args), SPACE).cost
LIMIT = Limit(COST, macs="60%")


def drawn(sampling: SubnetSampling, n: int, limit: Limit | None = None) -> np.ndarray:
    return sampling.drawer(Domain(SPACE, limit, COST))(np.random.default_rng(0), n)


@pytest.mark.parametrize("name", names())
def test_what_is_drawn_is_of_the_space_and_within_the_limit(name: str) -> None:
    sampling = find(name)()
    limit = LIMIT if sampling.bounded else None
    table = drawn(sampling, 60, limit)
    assert table.shape == (60, len(SPACE))
    assert np.array_equal(table, SPACE.canonical(table))
    assert limit is None or LIMIT.allows(table).all()
    assert np.array_equal(table, drawn(sampling, 60, limit))
    assert drawn(sampling, 0, limit).shape == (0, len(SPACE))


def test_in_every_round_each_value_is_trained_once() -> None:
    table = drawn(FairSampling(), 24)
    depth, heads, first = (table[:, list(SPACE).index(name)] for name in ("depth", "heads.0", "mlp.0"))
    for column, values in ((depth, 2), (heads, 4), (first, 4)):
        for start in range(0, 24, values):
            assert sorted(column[start : start + values]) == list(range(values))
    assert not np.array_equal(heads, first)


def test_all_sizes_are_drawn_equally_often_or_one_end_more() -> None:
    def tenths(sampling: SubnetSampling) -> tuple[float, float]:
        macs = COST.macs(drawn(sampling, 800)).astype(float)
        share = (macs - macs.min()) / (macs.max() - macs.min())
        return float((share < 0.25).mean()), float((share > 0.75).mean())

    uniform, even = tenths(find("uniform")()), tenths(SizedSampling())
    assert max(uniform) < 0.12
    assert min(even) > 0.2
    small, large = tenths(SizedSampling(toward="small")), tenths(SizedSampling(toward="large"))
    assert small[0] > 1.4 * even[0] > even[0] > 1.4 * large[0]
    assert large[1] > 1.4 * even[1] > even[1] > 1.4 * small[1]


def test_bands_of_sizes_are_equally_frequent() -> None:
    macs = COST.macs(drawn(SizedSampling(bands=2), 400))
    middle = (COST.counts(SPACE.smallest)["macs"] + COST.counts(SPACE.largest)["macs"]) / 2
    assert 160 < Counter((macs > middle).tolist())[True] < 240


@pytest.mark.parametrize("name", names())
def test_a_step_that_has_drawn_can_be_sent_to_other_processes(name: str) -> None:
    rule = Sandwich(sampling=name)
    step = rule.step(SPACE, LIMIT if rule.bounded else None, COST)
    first = step.subnets(context(nn.Identity()))
    elsewhere = pickle.loads(pickle.dumps(step))  # our own
    later = context(nn.Identity(), epoch=1)
    assert elsewhere.subnets(context(nn.Identity())) == first
    assert elsewhere.subnets(later) == step.subnets(later) != first


def test_a_wrong_name_or_option_is_helped() -> None:
    with pytest.raises(TrainingError, match="did you mean 'fair'"):
        find("fare")
    with pytest.raises(ConfigError, match="a whole number from 2 to 64"):
        plugin_of({"use": "sized", "bands": 1}, SAMPLING)
    assert Sandwich(sampling="fair").bounded is False
