import pytest
from space_fakes import deit, swin

from nas.searchspaces.axis_names import dimension, index, position
from nas.searchspaces.outline import Outline


def test_axes_are_named_dimension_dot_index():
    assert [dimension("heads.2.5"), index("heads.2.5"), position("2.5")] == ["heads", "2.5", (2, 5)]
    assert [dimension("embed"), index("embed"), position("")] == ["embed", "", ()]


def test_levels_and_stages():
    assert not deit().staged
    assert swin().staged
    assert [deit().level(axis) for axis in ("embed", "heads.3")] == ["model", "block"]
    assert [swin().level(axis) for axis in ("embed.2", "heads.2.5")] == ["stage", "block"]


def test_dimensions_list_their_axes_by_number_not_by_text():
    assert deit().dimensions["heads"] == tuple(f"heads.{b}" for b in range(12))
    assert swin("small").dimensions["mlp"][4:8] == ("mlp.2.0", "mlp.2.1", "mlp.2.2", "mlp.2.3")


def test_a_block_is_the_axis_that_switches_it_off():
    assert deit().block("mlp.3") == "depth.3"
    assert deit().block("embed") is None
    assert deit().block("depth.3") is None


def test_all_dimensions_are_elastic_when_none_is_named():
    assert Outline("m", {"embed": 4, "heads.0": 2}).elastic == {"embed", "heads"}


def test_an_outline_that_contradicts_itself_is_our_own_fault():
    with pytest.raises(AssertionError):
        Outline("m", {"heads.0": 0})
    with pytest.raises(AssertionError):
        Outline("m", {"heads.0": 2}, protected={"tokens.0": 1})
