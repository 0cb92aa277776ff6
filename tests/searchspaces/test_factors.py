import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import SpaceError
from nas.searchspaces import Additive, Factor


@st.composite
def additives(draw):
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    factors = []
    for _ in range(draw(st.integers(0, 12))):
        scope = draw(st.lists(st.sampled_from(range(len(lengths))), max_size=3, unique=True))
        shape = [lengths[c] for c in scope]
        values = draw(
            st.lists(st.integers(-(10**12), 10**12), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
        )
        factors.append(Factor(tuple(scope), np.array(values, np.int64).reshape(shape)))
    return lengths, Additive(draw(st.integers(-(10**12), 10**12)), tuple(factors[:8]), tuple(factors[8:]))


@settings(deadline=None, max_examples=60)
@given(additives(), st.integers(0, 2**32 - 1))
def test_an_additive_is_the_sum_of_its_factors_and_the_greatest_of_its_moments(case, seed):
    lengths, additive = case
    table = np.random.default_rng(seed).integers(0, lengths, (50, len(lengths)))
    expected = [
        additive.constant
        + sum(int(f.table[tuple(row[c] for c in f.choices)]) for f in additive.factors)
        + max([0, *(int(f.table[tuple(row[c] for c in f.choices)]) for f in additive.moments)])
        for row in table
    ]
    assert additive.times(2)(table).tolist() == [2 * value for value in expected]
    assert additive(table).tolist() == expected
    assert additive(table).dtype == np.int64


def test_tables_longer_than_a_chunk_and_of_any_layout():
    additive = Additive(5, (Factor((1,), np.array([0, 10], np.int64)), Factor((0, 1), np.arange(6).reshape(3, 2))))
    table = np.random.default_rng(0).integers(0, (3, 2), (10_001, 2))
    expected = 5 + 10 * table[:, 1] + 2 * table[:, 0] + table[:, 1]
    assert (additive(table) == expected).all()
    assert (additive(np.asfortranarray(table)) == expected).all()
    assert additive(table[:0]).shape == (0,)


def test_an_index_out_of_range_does_not_count_as_another():
    with pytest.raises(IndexError):
        Additive(0, (Factor((0,), np.arange(3)),))(np.array([[3]]))


def test_a_factor_can_be_turned():
    factor = Factor((2, 0), np.arange(6).reshape(2, 3))
    turned = factor.over([0, 1, 2])
    assert turned.shape == (3, 1, 2)
    assert all(turned[a, 0, b] == factor.table[b, a] for a in range(3) for b in range(2))


def test_a_table_must_fit_its_choices():
    with pytest.raises(AssertionError):
        Factor((0, 1), np.arange(3))
    with pytest.raises(AssertionError):
        Factor((0, 0), np.zeros((2, 2), np.int64))
    with pytest.raises(AssertionError):
        Factor((0,), np.zeros(2))
    with pytest.raises(AssertionError):
        Additive(0, (Factor((0,), np.ones(2, bool)),))


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_that_may_leave_int64_are_refused(sign):
    half = np.array([0, sign * 2**59], np.int64)
    assert Additive(0, (Factor((0,), half), Factor((1,), half)))(np.array([[1, 1]])).tolist() == [sign * 2**60]
    for constant, count in ((1, 2), (0, 32)):
        with pytest.raises(SpaceError, match="the model is too large to count"):
            Additive(constant, tuple(Factor((c,), half) for c in range(count)))
    with pytest.raises(SpaceError, match="the model is too large to count"):
        Additive(sign * 10**30, ())
