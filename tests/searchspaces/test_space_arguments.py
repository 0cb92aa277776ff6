"""What is no architecture, no table, no generator and no limit is refused in one clear line, whatever it is."""

import re

import numpy as np
import pytest
import torch
from space_fakes import FakeCost, small, space_of

from nas.errors import ConfigError, SpaceError
from nas.searchspaces import SearchSpace

ROWS = [[0, 0, 0], [2, 1, 0]]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return space_of(small(), heads="{size: [1, 2, 3]}")


@pytest.mark.parametrize("method", ["as_table", "to_table", "from_table", "canonical", "check", "sizes"])
@pytest.mark.parametrize(
    "argument",
    [torch.zeros(2, 3, dtype=torch.int64), None, 3, "abc", np.zeros((2, 3)), ["abc"], [None], [[0], [1, 2]],
     [[0.5] * 3], (row for row in ROWS)],
    ids=lambda argument: type(argument).__name__,
)  # fmt: skip
def test_what_is_no_architecture_is_refused(space, method, argument):
    with pytest.raises(SpaceError, match=r"^[^\n]*found [^\n]*; allowed: [^\n]*$"):
        getattr(space, method)(argument)


def test_a_list_of_lists_is_a_table(space):
    table = np.array(ROWS)
    assert (space.as_table(ROWS) == table).all()
    assert (space.as_table(tuple(ROWS[1])) == table[1:]).all()
    assert (space.canonical(ROWS) == table).all()
    assert space.from_table(ROWS) == space.from_table(table)
    assert FakeCost(space).additive("macs")(space.as_table(ROWS)).shape == (2,)


@pytest.mark.parametrize("value", [[1], None, torch.tensor(1), True, "1"])
def test_a_value_is_a_number(space, value):
    with pytest.raises(SpaceError, match=r"choice 'heads.1': found .*; allowed: 1, 2, 3"):
        space.check({**space.largest, "heads.1": value})


@pytest.mark.parametrize("rng", [0, None, torch.zeros(2), np.random.RandomState(0)])
def test_draws_need_a_generator(space, rng):
    with pytest.raises(SpaceError, match=re.escape("allowed: a Generator, such as np.random.default_rng(0)")):
        space.sample(rng)


@pytest.mark.parametrize("limit", ["50%", 0, torch.zeros(2)])
def test_draws_need_a_limit_that_is_one(space, limit):
    with pytest.raises(SpaceError, match="allowed: a Limit"):
        space.sample(np.random.default_rng(0), limit)


@pytest.mark.parametrize("source", [None, {}, [1], 3, b"model: m"])
def test_a_space_is_read_from_a_path_or_a_text(source):
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_yaml(source)
    assert str(caught.value) == f"YAML: found {source!r}; allowed: the path of a YAML file, or YAML text"


def test_a_path_that_no_system_knows_is_refused():
    with pytest.raises(ConfigError, match="null byte"):
        SearchSpace.from_yaml("space\0.yaml")
