"""Axes while they are found out: which are one, which are products, which stay."""

from __future__ import annotations

from nas.supernets.derived.algebra import Axis, Dims, elementary, flat, joined, new, part, reshaped, size, unify


def fresh(units: int) -> Dims:
    """A dimension that is one axis."""
    return new([units])[0]


def test_axes_of_equal_size_become_one_and_keep_the_reason() -> None:
    one, other = fresh(6), new([6], "the output")[0]
    unify(one, other)
    assert flat(one) == flat(other)
    assert flat(one)[0].reason == "the output"


def test_an_axis_that_meets_two_is_their_product() -> None:
    packed, heads, dims = fresh(12), fresh(3), fresh(4)
    unify(packed, [*heads, *dims])
    assert flat(packed) == [*flat(heads), *flat(dims)]


def test_a_reshape_cuts_the_row_where_dimensions_end() -> None:
    width = fresh(12)
    split = reshaped([width], (2, 3, 2))
    assert [size(dim) for dim in split] == [2, 3, 2]
    assert flat(reshaped(split, (12,))[0]) == flat(width)


def test_a_reshape_without_common_ends_fixes_what_it_crosses() -> None:
    a, b, c = fresh(4), fresh(6), fresh(5)
    across = reshaped([c, a, b], (5, 3, 8))
    assert flat(across[0]) == flat(c)
    assert not flat(c)[0].reason
    assert all(axis.reason for dim in (a, b, *across[1:]) for axis in flat(dim))


def test_parts_of_a_concatenation_are_what_was_concatenated() -> None:
    left, right = fresh(4), fresh(6)
    whole = joined([left, right])
    assert part(whole, 0, 4) == left
    assert part(whole, 4, 6) == right
    assert elementary(whole) == [*left, *right]


def test_equal_parts_are_a_stack() -> None:
    one = fresh(4)
    number, inner = flat(joined([one, one, one]))
    assert (number.size, bool(number.reason)) == (3, True)
    assert inner is one[0]


def test_unlike_parts_of_an_axis_stand_for_themselves() -> None:
    width = fresh(10)
    small = part(width, 0, 4)
    assert part(width, 4, 6) != small
    assert [size(piece) for piece in flat(width)[0].parts] == [4, 6]


def test_a_concatenation_of_equal_parts_that_meets_a_product_is_one() -> None:
    q, k, v, packed = fresh(4), fresh(4), fresh(4), [*fresh(3), *fresh(2), *fresh(2)]
    unify(joined([q, k, v]), packed)
    assert flat(q) == flat(k) == flat(v) == flat(packed)[1:]


def test_a_step_takes_pairs() -> None:
    width = fresh(8)
    even, odd = part(width, 0, 4, 2), part(width, 1, 4, 2)
    assert flat(even) == flat(odd)
    assert not flat(even)[0].reason
    assert isinstance(flat(width)[0], Axis)
    assert [axis.size for axis in flat(width)] == [4, 2]
