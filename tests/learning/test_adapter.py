"""Flat vectors: where the factors and the head are, and what a sum of adapters is."""

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Site, concatenate
from cosim.learning.ranks import pack, unpack

SITES = (Site("first", 5, 3), Site("second", 4, 6))
HEAD = Site("head", 7, 2)


def product(adapter, site):
    layout, vector = adapter.layout, adapter.vector
    return layout.b(vector, site) @ layout.a(vector, site)


def test_the_parts_follow_each_other_and_fill_the_vector():
    layout = Layout(SITES, 2, HEAD)
    assert (layout.size_a, layout.size_b, layout.size) == (18, 18, 36 + 2 * 8)
    assert layout.slices_a[0].start == layout.part_a.start == 0
    assert layout.slices_a[-1].stop == layout.part_a.stop == layout.slices_b[0].start
    assert layout.slices_b[-1].stop == layout.part_b.stop == layout.part_head.start == 36
    assert layout.part_head.stop == layout.size
    assert Layout(SITES, 2).part_head == slice(36, 36)


def test_a_sum_of_adapters_is_that_of_products_and_of_movements_of_the_head():
    rng = np.random.default_rng(1)
    parts = []
    for rank, scale, weight in ((2, 1.5, 0.3), (3, 0.5, -2.0)):
        layout = Layout(SITES, rank, HEAD)
        vector = rng.normal(size=layout.size).astype(np.float32)
        parts.append((Adapter(layout, vector, scale), weight))
    total = concatenate(parts)
    assert total.layout == Layout(SITES, 5, HEAD)
    for site in range(len(SITES)):
        expected = sum(
            weight
            * each.scale
            * each.layout.b(each.vector, site)
            @ each.layout.a(each.vector, site)
            for each, weight in parts
        )
        found = total.layout.b(total.vector, site) @ total.layout.a(total.vector, site)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    heads = sum(weight * each.vector[each.layout.part_head] for each, weight in parts)
    np.testing.assert_allclose(total.vector[total.layout.part_head], heads, rtol=1e-5, atol=1e-6)


def test_a_larger_rank_and_back():
    small, large = Layout(SITES, 2, HEAD), Layout(SITES, 5, HEAD)
    vector = np.random.default_rng(2).normal(size=small.size).astype(np.float32)
    packed = np.zeros(large.size, dtype=np.float32)
    pack(small, vector, large, packed)
    np.testing.assert_array_equal(packed[large.part_head], vector[small.part_head])
    np.testing.assert_array_equal(unpack(large, packed, small), vector)
    assert np.count_nonzero(packed) == small.size
