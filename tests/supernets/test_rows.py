"""The language of the axis table."""

from __future__ import annotations

import pytest
from torch import nn

from nas.axes import Frame
from nas.errors import ModelError
from nas.supernets.rows import Row, bind, parse


def frame(**axes: int) -> Frame:
    return Frame({name.replace("_", "."): size for name, size in axes.items()}, {}, {}, {"0": "0"})


def test_parse() -> None:
    assert parse("(3 heads.0 head_dim.0) embed") == (("3", "heads.0", "head_dim.0"), ("embed",))
    assert parse("1 1 embed") == (("1",), ("1",), ("embed",))


def test_bind_names_block_and_axes() -> None:
    model = nn.Sequential(nn.Linear(2, 6, bias=False))
    table = bind(
        (Row("{i}.weight", "(3 heads.{i}) in", at="7"),),
        ("2 heads.{i} in",),
        "{i}",
        frame(heads_0=2, **{"in": 2}),
        model,
    )
    entry = table.entries["0.weight"]
    assert (entry.block, entry.at, entry.atoms) == ("0", "7", ("3", "heads.0", "in"))
    assert (table.products[0].block, table.products[0].factor, table.products[0].atoms) == ("0", 2, ("heads.0", "in"))


def test_a_parameter_that_no_row_names_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 6))
    with pytest.raises(ModelError, match=r"0 rows .* '0\.bias'"):
        bind((Row("{i}.weight", "out in"),), (), "{i}", frame(out=6, **{"in": 2}), model)


def test_a_shape_that_is_not_the_product_of_its_axes_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 6, bias=False))
    with pytest.raises(ModelError, match=r"is \(6, 2\), its axes out in \(5, 2\)"):
        bind((Row("{i}.weight", "out in"),), (), "{i}", frame(out=5, **{"in": 2}), model)


def test_sizes_follow_the_axis_they_lie_within() -> None:
    nested = Frame({"a": 9, "b": 9, "c": 9}, {"b": "a", "c": "b"}, {}, {})
    assert nested.size("c", {"a": 4}) == 4
    assert nested.size("c", {"a": 4, "b": 3}) == 3
    assert nested.size("c", {"c": 2}) == 2
    assert nested.size("12", {}) == 12
    assert nested.root("c") == "a"
