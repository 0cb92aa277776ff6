"""What every quantity must hold to, tested for all in the plug-in folder and all that other packages bring.

from nas.testing.quantities import QuantitySuite

class TestQuantities(QuantitySuite):
    pass
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
import torch

from nas import quantities
from nas.errors import QuantityError
from nas.quantities import Counted, Multiple
from nas.searchspaces import Limit, SearchSpace
from nas.searchspaces.counting.factors import Table
from nas.supernets import Cost, Supernet, build

SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 16, patch_size: 8, embed_dim: 24, depth: 2, num_heads: 3, num_classes: 5}
choices:
  heads: {size: [1, 2, 3]}
  mlp: {size: [0.5, 1.0]}
  rank: {rank: [0.25, 1.0], of: [qkv]}
  depth: {depth: [1, 2]}
"""
"""A small space: 252 architectures, some with fewer blocks, some with matrices factored in two."""
BITS = SPACE + "  bits: {bits: [8, 32]}\n"
"""The same with matrices that may be int8, for quantities of those."""
PARTS = SPACE.replace("num_classes: 5", "detector: {head: yolos, classes: 2, queries: 3}")
"""The same as the body of a detector, for quantities of parts."""
VALUES = (0.0, 0.0321, 1.0, 12.0, 345.0, 6789.0, 1.25e6, 3.75e9)
"""Values to be shown and read; those beyond 1 are left out where values are shares of one."""


class QuantitySuite:
    """Inherit it in a test file; it tests every quantity that is installed when the file is collected."""

    @pytest.mark.parametrize("name", quantities.names())
    def test_the_name_is_that_of_the_file(self, name: str) -> None:
        """YAML, columns and keys say `name`; a table and a plot say the title."""
        quantity = quantities.find(name)
        assert quantity.name == name
        assert re.fullmatch("[a-z][a-z0-9_]*", name), "a name is a column of tables and a keyword of `Limit`"
        assert quantity.title
        assert quantity.axis_label

    @pytest.mark.parametrize("name", quantities.names())
    def test_what_it_shows_it_reads(self, name: str) -> None:
        """With a unit or a prefix to the three digits that are shown; numbers exactly; "50%" as a share."""
        quantity = quantities.find(name)
        for value in VALUES:
            if quantity.shown == "percent" and value > 1:
                continue
            text = quantity.show(value)
            assert quantity.read(value).value == value
            if re.search("[A-Za-z%]", text):
                assert quantity.read(text).value == pytest.approx(value, rel=5e-3), text
                assert not quantity.read(text).relative
        share = quantity.read("50%")
        assert (share.value, share.relative) == (0.5, quantity.shown != "percent")

    @pytest.mark.parametrize("name", quantities.names())
    @pytest.mark.parametrize("value", [-1, True, None, "x", "", "5 bananas", float("nan"), float("inf"), [1]])
    def test_nonsense_is_refused_with_what_is_allowed(self, name: str, value: object) -> None:
        """In one line that names the quantity and what was found."""
        with pytest.raises(QuantityError, match=re.escape(f"{name}: found {value!r}; allowed: a number")):
            quantities.find(name).read(value)

    @pytest.mark.parametrize("name", quantities.names())
    def test_the_best_is_better_than_the_worst(self, name: str) -> None:
        """`ideal` and `worst` stand in the direction that `better` says."""
        quantity = quantities.find(name)
        if quantity.worst is not None:
            better = quantity.ideal > quantity.worst if quantity.maximise else quantity.ideal < quantity.worst
            assert better, (quantity.ideal, quantity.worst)

    @pytest.mark.parametrize("name", quantities.names())
    def test_counts_are_whole_and_non_negative(self, name: str) -> None:
        """Of every architecture of a small space, and none has more of it than the whole model."""
        quantity = quantities.find(name)
        if not isinstance(quantity, Counted | Multiple):
            pytest.skip("only counted quantities are known before anything runs")
        cost = _cost_of(quantity)
        counts = cost.of(name, _rows(cost.space))
        assert counts.dtype == np.int64
        assert counts.min() >= 0
        assert counts.max() <= cost.base(name)
        assert len(np.unique(counts)) > 1, "a quantity that is the same for all architectures says nothing"

    @pytest.mark.parametrize("name", quantities.names())
    def test_a_multiple_is_one_of_something_counted(self, name: str) -> None:
        """A multiple of a multiple, or of nothing, has no formula."""
        quantity = quantities.find(name)
        if isinstance(quantity, Multiple):
            assert isinstance(quantities.find(quantity.of), Counted)
            assert quantity.times > 1

    @pytest.mark.parametrize("name", quantities.names())
    def test_it_can_be_a_limit(self, name: str) -> None:
        """Exactly those architectures are allowed whose count is within it, and sampling keeps to it."""
        quantity = quantities.find(name)
        if not isinstance(quantity, Counted | Multiple):
            pytest.skip("only counted quantities can be limits")
        cost = _cost_of(quantity)
        counts = cost.of(name, _rows(cost.space))
        most = int(np.median(counts))
        limit = Limit(cost, **{name: most})
        assert limit.lattice.count == (counts <= most).sum()
        drawn = cost.space.sample_table(np.random.default_rng(0), 100, limit)
        assert (cost.of(name, drawn) <= most).all()
        assert name in limit.describe()


def _cost_of(quantity: Counted | Multiple) -> Cost:
    """The costs of the first space whose models have any of it."""
    counted = quantity.of if isinstance(quantity, Multiple) else quantity.name
    costs = (_supernet(text).cost for text in (SPACE, PARTS, BITS))
    return next(cost for cost in costs if counted in cost.bases)


@cache
def _model(text: str) -> torch.nn.Module:
    space = SearchSpace.from_yaml(text)
    return build(space.model, space.model_args)


def _supernet(text: str) -> Supernet:
    """Made anew: its costs are of the quantities that are installed now."""
    return Supernet(_model(text), SearchSpace.from_yaml(text))


def _rows(space: SearchSpace) -> Table:
    """Every architecture of the space, as a table."""
    table = np.indices(space.n_values).reshape(len(space), -1).T
    canonical = (space.canonical(table) == table).all(axis=1)
    return np.asarray(table[canonical])
