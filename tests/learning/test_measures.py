import math

import numpy as np
import pytest
from exact_helpers import PLAIN, devices, full
from hypothesis import given
from hypothesis import strategies as st

from cosim.learning.adapter import Adapter, Layout, Site, concatenate
from cosim.learning.methods._measures import (
    aggregation_gap,
    covariance_term,
    effective_rank,
    forgetting,
    gram_ratio,
    inner,
    knowledge_kept,
    layer_densities,
    norm,
    overlap,
)
from cosim.learning.methods.flora import Flora
from cosim.learning.methods.lora import Lora

SITES = (Site("first", 6, 5), Site("second", 4, 7))


def adapter_of(rank, seed, scale=1.5):
    layout = Layout(SITES, rank)
    vector = np.random.default_rng(seed).standard_normal(layout.size).astype(np.float32)
    return Adapter(layout, vector, scale)


def test_gram_ratio_by_hand():
    layout = Layout((Site("one", 3, 1),), rank=1)
    i, j = np.array([3, 4, 0], np.float32), np.array([5, 0, 2], np.float32)
    assert gram_ratio(layout, i, j) == pytest.approx(15 / 25)
    assert gram_ratio(layout, i, i) == pytest.approx(1)


def test_overlap_by_hand():
    masks = [np.array(bits, dtype=bool) for bits in ([1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0])]
    assert overlap(masks) == 0.5
    assert overlap(masks[:2]) == 0.25
    assert overlap(masks[:1]) == overlap([]) == 0


def test_layer_densities_by_hand():
    layout = Layout(SITES, 2)  # B of 10 and 14
    mask = np.ones(layout.size, dtype=bool)
    mask[layout.part_b] = False
    mask[layout.slices_b[0].start : layout.slices_b[0].start + 3] = True
    mask[layout.slices_b[1]] = True
    np.testing.assert_allclose(layer_densities(layout, mask), [0.3, 1.0])


@pytest.mark.parametrize(
    ("spectrum", "expected"),
    [
        ([2.0] * 7, 7),
        ([5.0, 0, 0], 1),
        ([3.0, 3.0, 0, -1e-12], 2),
        ([0.5, 0.25, 0.25], 2**1.5),  # entropy 1.5 bits
        ([0.0, 0.0], 0),
    ],
)
def test_effective_rank_in_closed_form(spectrum, expected):
    assert effective_rank(spectrum) == pytest.approx(expected)
    assert effective_rank(np.multiply(spectrum, 100)) == pytest.approx(expected)


@given(st.integers(1, 5), st.integers(1, 5))
def test_inner_products_are_those_of_the_whole_matrices(r, q):
    x, y = adapter_of(r, 1), adapter_of(q, 2, scale=0.5)
    expected = sum(float(np.sum(p * q)) for p, q in zip(full(x), full(y), strict=True))
    assert inner(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert norm(x) == pytest.approx(math.sqrt(sum(np.sum(p**2) for p in full(x))))


def test_covariance_term_is_that_of_the_whole_matrices():
    layout = Layout(SITES, 3)
    vectors = [adapter_of(3, seed).vector for seed in range(4)]
    products = [full(Adapter(layout, vector, 1.0)) for vector in vectors]
    apart = full(Adapter(layout, np.mean(vectors, axis=0, dtype=np.float64), 1.0))
    expected = sum(
        np.sum((np.mean([p[site] for p in products], axis=0) - apart[site]) ** 2)
        for site in range(2)
    )
    assert covariance_term(layout, vectors) == pytest.approx(expected, rel=1e-9)


def test_covariance_term_in_closed_form():
    """Rank 1, 1 x 1: B = A = +1 and -1; the mean product is 1, the product of the means is 0."""
    layout = Layout((Site("one", 1, 1),), 1)
    plus, minus = np.array([1, 1], np.float32), np.array([-1, -1], np.float32)
    assert covariance_term(layout, [plus, minus]) == pytest.approx(1)
    assert covariance_term(layout, [plus, plus]) == 0
    common_a = [np.array([2, b], np.float32) for b in (1, 5, 9)]
    assert covariance_term(layout, common_a) == 0


def test_aggregation_gap_in_closed_form():
    one, other = adapter_of(2, 1), adapter_of(3, 2)
    parts = [(one, 0.25), (other, 0.75)]
    assert aggregation_gap(concatenate(parts), parts) < 1e-6
    half = concatenate([(part, weight / 2) for part, weight in parts])
    assert aggregation_gap(half, parts) == pytest.approx(0.5, rel=1e-5)
    nothing = Adapter(one.layout, one.vector * 0, 1.0)
    assert aggregation_gap(nothing, parts) == pytest.approx(1)
    assert aggregation_gap(nothing, [(nothing, 1.0)]) == 0
    assert aggregation_gap(one, [(nothing, 1.0)]) == math.inf


def test_the_gap_tells_exact_methods_from_others():
    gaps = {}
    for method in (Flora(rank=4), Lora(rank=4)):
        states = devices(method, PLAIN, count=2)
        parts = [(Adapter(PLAIN.layout, state.vector, 2.0), 0.5) for state in states]
        mean = [np.mean([s.vector for s in states], axis=0, dtype=np.float32)]
        merged = Adapter(PLAIN.layout, mean[0], 2.0)
        if isinstance(method, Flora):
            merged = concatenate(parts)
        gaps[type(method)] = aggregation_gap(merged, parts)
    assert gaps[Flora] < 1e-6
    assert gaps[Lora] > 0.01


def test_knowledge_kept_in_closed_form():
    earlier, other = adapter_of(2, 1), adapter_of(2, 2)
    same = knowledge_kept(earlier, earlier)
    assert (same.cosine, same.fraction) == (pytest.approx(1), pytest.approx(1))
    half = knowledge_kept(earlier, concatenate([(earlier, 0.5)]))
    assert (half.cosine, half.fraction) == (pytest.approx(1), pytest.approx(0.5))
    away = other.scale * other.vector.astype(np.float64)
    assert away.any()
    along = inner(other, earlier) / norm(earlier) ** 2
    added = knowledge_kept(earlier, concatenate([(earlier, 1.0), (other, 1.0)]))
    assert added.fraction == pytest.approx(1 + along, rel=1e-5)
    opposite = knowledge_kept(earlier, concatenate([(earlier, -2.0)]))
    assert (opposite.cosine, opposite.fraction) == (pytest.approx(-1), pytest.approx(-2))
    nothing = Adapter(earlier.layout, earlier.vector * 0, 1.0)
    gone = knowledge_kept(earlier, nothing)
    assert math.isnan(gone.cosine)
    assert gone.fraction == 0
    assert math.isnan(knowledge_kept(nothing, earlier).fraction)


def test_forgetting_by_hand():
    accuracy = [[0.5, 0.2], [0.9, 0.4], [0.6, 0.7]]
    np.testing.assert_allclose(forgetting(accuracy), [0.3, 0.0])
    np.testing.assert_allclose(forgetting(accuracy[:1]), [0, 0])
