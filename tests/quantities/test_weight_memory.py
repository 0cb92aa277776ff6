"""A quantity of a user's package is one file: it is counted, bounded and read as ours are. Nothing else names it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from weight_memory import WeightMemory

from nas import quantities
from nas.errors import LimitError
from nas.searchspaces import Limit, SearchSpace
from nas.supernets import Supernet, build
from nas.testing.quantities import SPACE, QuantitySuite

NAME = "weight_memory"


@pytest.fixture(autouse=True)
def installed(plug_in) -> None:
    plug_in("nas.quantities", NAME, WeightMemory)


@pytest.fixture
def supernet(installed) -> Supernet:
    space = SearchSpace.from_yaml(SPACE)
    return Supernet(build(space.model, space.model_args), space)


def held(model: torch.nn.Module) -> int:
    """Bytes of the weights that a model really has."""
    return sum(parameter.numel() * (4 if parameter.ndim == 1 else 2) for parameter in model.parameters())


def test_it_is_found_beside_ours_as_a_column_of_its_own() -> None:
    assert quantities.find(NAME) == WeightMemory()
    assert [quantity.name for quantity in quantities.costs()] == ["macs", "flops", "params", NAME]


def test_it_is_gone_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert NAME not in quantities.names()


@pytest.mark.parametrize(
    "test",
    [
        "test_the_name_is_that_of_the_file",
        "test_what_it_shows_it_reads",
        "test_the_best_is_better_than_the_worst",
        "test_counts_are_whole_and_non_negative",
        "test_it_can_be_a_limit",
    ],
)
def test_it_holds_to_the_suite(test: str) -> None:
    getattr(QuantitySuite(), test)(NAME)


def test_it_is_counted_exactly(supernet: Supernet) -> None:
    space, rng = supernet.space, np.random.default_rng(0)
    assert supernet.cost.base(NAME) == held(supernet.model)
    for architecture in (space.smallest, space.largest, *(space.sample(rng) for _ in range(30))):
        assert supernet.cost.counts(architecture)[NAME] == held(supernet.extract(architecture))


@pytest.mark.parametrize("bound", ["60%", "20 KiB", "20.48kB", 20480, ("10 KiB", "20 KiB")])
def test_a_limit_of_it_is_kept_by_all_that_is_drawn(supernet: Supernet, bound: object) -> None:
    limit = Limit(supernet.cost, **{NAME: bound})
    most = 0.6 * supernet.cost.base(NAME) if bound == "60%" else 20 * 1024
    least = 10 * 1024 if isinstance(bound, tuple) else 0
    assert limit.bounds[NAME] == (pytest.approx(least) if least else -np.inf, pytest.approx(most))
    table = supernet.space.sample_table(np.random.default_rng(0), 200, limit)
    for architecture in supernet.space.from_table(table[:10]):
        assert least <= held(supernet.extract(architecture)) <= most
    assert (supernet.cost.of(NAME, table) <= most).all()
    assert 0 < limit.share < 1


def test_it_stands_beside_another_bound_and_says_itself_in_bytes(supernet: Supernet) -> None:
    limit = Limit(supernet.cost, flops="80%", weight_memory="20 KiB")
    assert limit.describe().startswith("macs <= ")
    assert limit.describe().endswith(" and weight_memory <= 20.48 kB")
    with pytest.raises(LimitError, match=r"weight_memory <= 1 kB; reachable: [\d.]+ kB to [\d.]+ kB"):
        Limit(supernet.cost, weight_memory="1 kB")


@pytest.mark.parametrize("bound", ["20 G", "20", "3 ms", "0 B", "200%"])
def test_what_is_no_bound_of_it_is_refused_in_its_own_units(supernet: Supernet, bound: str) -> None:
    with pytest.raises(LimitError, match=f"limit 'weight_memory': found '{bound}'; allowed: a number, also with B, kB"):
        Limit(supernet.cost, weight_memory=bound)
