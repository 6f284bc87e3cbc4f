"""Sums of products by their factors, against the whole matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from method_helpers import PLAIN, best, error, full

from cosim.learning.adapter import Adapter, Layout, Site
from cosim.learning.methods._products import beside, compressed, first_part, truncated


def adapter_of(rank, seed, scale=2.0, head=None):
    layout = Layout(PLAIN.layout.sites, rank, head)
    vector = np.random.default_rng(seed).standard_normal(layout.size).astype(np.float32)
    return Adapter(layout, vector, scale)


@pytest.mark.parametrize("rank", [1, 3, 10, 11, 40])
def test_recompression_keeps_the_product_in_the_fewest_ranks_that_any_can_need(rank):
    before = adapter_of(rank, 1, head=Site("score", 5, 3))
    after = compressed(before, 0.5)
    assert after.layout.rank == min(rank, 10)  # sites are 10 x 12 and 14 x 8
    assert after.scale == 0.5
    assert error(full(after), full(before)) < 3e-7
    np.testing.assert_array_equal(
        after.vector[after.layout.part_head], before.vector[before.layout.part_head]
    )


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_truncation_is_the_best_approximation(rank):
    before = adapter_of(7, 3)
    layout = PLAIN.layout
    vector = truncated(before, layout, rank, 0.5, np.zeros(layout.size, np.float32))
    after = Adapter(layout, vector, 0.5)
    assert error(full(after), best(full(before), rank)) < 1e-6
    for site in range(2):
        rows = layout.a(vector, site)
        assert not rows[rank:].any()
        assert not layout.b(vector, site)[:, rank:].any()
        np.testing.assert_allclose(rows[:rank] @ rows[:rank].T, np.eye(rank), atol=1e-6)
        assert (rows[np.arange(rank), np.abs(rows[:rank]).argmax(axis=1)] > 0).all()


def test_ranks_that_a_product_does_not_need_keep_a_for_training():
    layout, spare = PLAIN.layout, np.arange(PLAIN.layout.size, dtype=np.float32)
    vector = truncated(adapter_of(2, 5), layout, 3, 2.0, spare)
    nothing = truncated(Adapter(layout, spare * 0, 2.0), layout, 3, 2.0, spare)
    for site in range(2):
        np.testing.assert_array_equal(layout.a(vector, site)[2], layout.a(spare, site)[2])
        np.testing.assert_array_equal(layout.a(nothing, site)[:3], layout.a(spare, site)[:3])
        assert not layout.b(vector, site)[:, 2:].any()
        assert not layout.a(vector, site)[3:].any()
    assert not nothing[layout.part_b].any()


@given(st.integers(1, 6), st.integers(1, 6))
def test_beside_adds_products_and_keeps_the_first(r, q):
    own, other = adapter_of(r, r), adapter_of(q, 10 + q)
    both = beside(own, other)
    wanted = [x + y for x, y in zip(full(own), full(other), strict=True)]
    assert error(full(both), wanted) < 1e-12
    np.testing.assert_array_equal(first_part(own.layout, both.vector), own.vector)
    assert beside(own, None) is own
