"""Budgets that are divided and met to the entry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.learning.methods._apportion import apportion, budget_of, density_left, largest


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 50)), min_size=1, max_size=12),
    st.floats(0, 1),
)
def test_a_budget_is_divided_to_the_entry_and_within_the_caps(parts, fill):
    weights, caps = zip(*parts, strict=True)
    total = int(fill * sum(caps))
    shares = apportion(total, weights, caps)
    assert shares.sum() == total
    assert (shares >= 0).all()
    assert (shares <= caps).all()


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=10), st.integers(0, 200))
def test_shares_without_caps_are_those_of_largest_remainders(weights, total):
    shares = apportion(total, weights, [total] * len(weights))
    quota = total * np.array(weights) / sum(weights)
    assert (np.abs(shares - quota) < 1 + 1e-9).all()


@pytest.mark.parametrize(
    ("total", "weights", "caps", "expected"),
    [
        (10, [1, 1, 1], [9, 9, 9], [4, 3, 3]),  # equal remainders: lowest index
        (10, [5, 3, 2], [9, 9, 9], [5, 3, 2]),
        (10, [8, 1, 1], [4, 9, 9], [4, 3, 3]),  # what the cap cuts off goes to the others
        (12, [8, 4, 1], [4, 4, 9], [4, 4, 4]),  # and on, where it fills another
        (7, [0, 0, 0], [9, 1, 9], [3, 1, 3]),  # evenly, where all weights are 0
        (6, [1, 0, 0], [4, 9, 9], [4, 1, 1]),
        (0, [1, 2], [3, 3], [0, 0]),
        (6, [1, 2], [3, 3], [3, 3]),
    ],
)
def test_shares_by_hand(total, weights, caps, expected):
    assert apportion(total, weights, caps).tolist() == expected


def test_more_than_the_caps_is_refused():
    with pytest.raises(ValueError, match="expected a total of 0 to 5, the sum of the caps, got 6"):
        apportion(6, [1, 1], [2, 3])


def test_densities_are_decimal():
    assert density_left(0.7) == 0.3 != 1 - 0.7
    assert budget_of(density_left(0.7), 100) == 30
    assert largest(np.array([1.0, 3.0, 3.0, 2.0]), 1).tolist() == [False, True, False, False]
    assert not largest(np.ones(3), 0).any()
