"""Axis names are made and taken apart in one module: its functions, and a search for others that do it by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nas
from nas.searchspaces import axis_names

ROOT = Path(nas.__file__).parent
ALLOWED = ("searchspaces/axis_names.py", "supernets/families/")
"""The module itself, and the axis tables of families."""
DIMENSIONS = "embed|heads|head_dim|mlp|depth|tokens|queries"
BY_HAND = re.compile(
    rf"""(?<=\w)\.partition\(["']\.["']\)"""  # of a name; rpartition takes the path of a parameter apart
    rf"""|\bf["']({DIMENSIONS}|\{{(axis|family|kind|dimension)\}})\.\{{"""
    rf"""|["']({DIMENSIONS})\.["']"""
    rf"""|["']_(rank|in)["']|\}}_(rank|in)\b"""
)


def made_by_hand(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if BY_HAND.search(line)]


def test_no_other_module_takes_axis_names_apart() -> None:
    faults = []
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        if not where.startswith(ALLOWED):
            faults += [f"{where}: {line}" for line in made_by_hand(path.read_text(encoding="utf-8"))]
    assert not faults, "use nas.searchspaces.axis_names:\n" + "\n".join(faults)


@pytest.mark.parametrize(
    "line",
    [
        'name = axis.partition(".")[0]',
        'axes = {f"tokens.{block}": 17}',
        'axis = f"{family}.{block}"',
        'if axis.startswith(("tokens.", "queries.")):',
        'if name.endswith("_rank"):',
        'ranks = f"{matrix}_rank.0"',
        "inputs = name.endswith('_in')",
    ],
)
def test_a_name_made_by_hand_is_found(line: str) -> None:
    assert made_by_hand(line)


@pytest.mark.parametrize(
    "line", ['owner = name.rpartition(".")[0]', 'path = f"{path}.{layer}"', '"""As in "mlp.3"."""']
)
def test_other_dots_are_left_alone(line: str) -> None:
    assert not made_by_hand(line)


def test_parts_of_an_axis() -> None:
    for axis, dimension, index, position in (
        ("heads.2.5", "heads", "2.5", (2, 5)),
        ("mlp.3", "mlp", "3", (3,)),
        ("embed", "embed", "", ()),
    ):
        assert (axis_names.dimension(axis), axis_names.index(axis)) == (dimension, index)
        assert axis_names.axis_name(dimension, index) == axis
        assert axis_names.position(index) == position
    assert axis_names.stage("2.5") == "2"
    assert axis_names.stage("2") == "2"


def test_dimensions_with_a_meaning() -> None:
    assert axis_names.rank_of("fc1") == "fc1_rank"
    assert axis_names.ranked_matrix("fc1_rank") == "fc1"
    assert axis_names.ranked_matrix("mlp") == ""
    assert axis_names.is_rank("fc1_rank")
    assert not axis_names.is_rank("fc1_in")
    assert axis_names.is_position("queries.3")
    assert not axis_names.is_position("depth.3")
