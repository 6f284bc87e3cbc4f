import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from method_helpers import PLAIN, SITES, arrival, clique, full, trained, updates_of
from method_table import TABLE, cohort_of, ready, where

from cosim.learning.adapter import Adapter, Layout, Site, concatenate
from cosim.learning.methods._measures import (
    effective_rank,
    forgetting,
    gram_ratios,
    knowledge_kept,
    layer_shares,
    merge_loss,
    overlap,
)
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal


def adapter_of(rank, seed, scale=1.5):
    layout = Layout(SITES, rank)
    vector = np.random.default_rng(seed).standard_normal(layout.size).astype(np.float32)
    return Adapter(layout, vector, scale)


def test_gram_ratios_by_hand():
    layout = Layout((Site("one", 3, 1),), rank=1)
    i, j, zero = (np.array(row, np.float32) for row in ([3, 4, 0], [5, 0, 2], [0, 0, 0]))
    found = gram_ratios(layout, [i, j, zero])
    np.testing.assert_allclose(found[:2], [[1, 15 / 25, 0], [15 / 29, 1, 0]])
    assert np.isnan(found[2]).all()


def test_gram_ratios_are_those_of_the_whole_matrices():
    layout = Layout(SITES, 3)
    vectors = [adapter_of(3, seed).vector for seed in range(3)]
    found = gram_ratios(layout, vectors)
    for i in range(3):
        for j in range(3):
            grams = [
                [np.linalg.norm(layout.a(vectors[i], s).astype(np.float64) @ layout.a(v, s).T)]
                for v in (vectors[j], vectors[i])
                for s in range(2)
            ]
            cross, own = np.linalg.norm(grams[:2]), np.linalg.norm(grams[2:])
            assert found[i, j] == pytest.approx(cross / own)


def test_overlap_by_hand():
    masks = [np.array(bits, dtype=bool) for bits in ([1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0])]
    assert overlap(masks) == 0.5
    assert overlap(masks[:2]) == 0.25
    assert overlap(masks[:1]) == overlap([]) == 0


def test_layer_shares_by_hand():
    """A of 12 and 8 columns, B of 10 and 14 rows; rank 2, of which fractions are, or rank 3."""
    whole, more = Layout(SITES, 2), Layout(SITES, 3)
    for layout in (whole, more):
        first_a, second_a = layout.slices_a
        first_b, second_b = layout.slices_b
        chosen = [first_a.start, second_a.stop - 1, *range(first_b.start, first_b.start + 3)]
        chosen += range(second_b.start, second_b.start + 28)
        found = layer_shares(layout, np.array(chosen), whole)
        np.testing.assert_allclose(found, [[1 / 24, 1 / 16], [3 / 20, 1]])


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


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 99))
def test_what_a_merge_lost_is_that_of_the_whole_matrices(ranks, seed):
    merged = adapter_of(3, seed)
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(ranks)))
    parts = [(adapter_of(r, seed + i + 1, 0.5 + i), float(weights[i])) for i, r in enumerate(ranks)]
    wanted = [sum(w * full(part)[site] for part, w in parts) for site in range(2)]
    apart = [x - y for x, y in zip(full(merged), wanted, strict=True)]
    size, far = (np.sqrt(sum(np.sum(m**2) for m in each)) for each in (wanted, apart))
    assert merge_loss(merged, parts).gap == pytest.approx(far / size, rel=1e-6)


def test_the_covariance_term_is_that_of_the_whole_matrices():
    layout, weights = Layout(SITES, 3), [0.1, 0.2, 0.3, 0.4]
    vectors = [adapter_of(3, seed).vector for seed in range(4)]
    products = [full(Adapter(layout, vector, 1.0)) for vector in vectors]
    mean = np.average(vectors, axis=0, weights=weights)
    apart = full(Adapter(layout, mean, 1.0))
    expected = sum(
        np.sum(
            (np.average([p[site] for p in products], axis=0, weights=weights) - apart[site]) ** 2
        )
        for site in range(2)
    )
    parts = [(Adapter(layout, v, 7.0), w) for v, w in zip(vectors, weights, strict=True)]
    other = (adapter_of(5, 9), 1.0)  # of another rank, and so no part of the mean
    assert merge_loss(parts[0][0], [*parts, other]).covariance_term == pytest.approx(expected)
    # Weights that are no mean's count as if they were.
    doubled = [(part, 2 * weight) for part, weight in parts]
    assert merge_loss(parts[0][0], doubled).covariance_term == pytest.approx(expected)


def test_the_covariance_term_in_closed_form():
    """Rank 1, 1 x 1: B = A = +1 and -1; the mean product is 1, the product of the means is 0."""
    layout = Layout((Site("one", 1, 1),), 1)

    def term(*factors):
        parts = [Adapter(layout, np.array(f, np.float32), 1.0) for f in factors]
        return merge_loss(parts[0], [(part, 1 / len(parts)) for part in parts]).covariance_term

    assert term([1, 1], [-1, -1]) == pytest.approx(1)
    assert term([1, 1], [1, 1]) == 0
    assert term([2, 1], [2, 5], [2, 9]) == pytest.approx(0, abs=1e-12)  # one A


def test_the_gap_in_closed_form():
    one, other = adapter_of(2, 1), adapter_of(3, 2)
    parts = [(one, 0.25), (other, 0.75)]
    assert merge_loss(concatenate(parts), parts).gap < 1e-6
    half = concatenate([(part, weight / 2) for part, weight in parts])
    assert merge_loss(half, parts).gap == pytest.approx(0.5, rel=1e-5)
    nothing = Adapter(one.layout, one.vector * 0, 1.0)
    assert merge_loss(nothing, parts).gap == pytest.approx(1)
    assert merge_loss(nothing, [(nothing, 1.0)]).gap == 0
    assert merge_loss(one, [(nothing, 1.0)]).gap == math.inf


def test_wide_and_narrow_layers_are_multiplied_alike():
    """Some columns at a time or all at once, by the number of ranks."""
    sites = (Site("wide", 900, 700),)
    for rank in (4, 40):
        layout = Layout(sites, rank)
        rng = np.random.default_rng(rank)
        parts = [
            (Adapter(layout, rng.standard_normal(layout.size).astype(np.float32), 1.0), 0.25)
            for _ in range(4)
        ]
        wanted = np.linalg.norm(sum(w * full(part)[0] for part, w in parts))
        apart = np.linalg.norm(full(parts[0][0])[0] - sum(w * full(part)[0] for part, w in parts))
        assert merge_loss(parts[0][0], parts).gap == pytest.approx(apart / wanted, rel=1e-9)


def gaps(name, count=4):
    """The gap at each device of a clique that merges a second time."""
    row = TABLE[name]
    cohort = cohort_of(row, PLAIN)
    states = clique(row.method, cohort, ready(name, PLAIN, count=count))
    states = [trained(row.method, state, 9, cohort) for state in states]
    updates = updates_of(row.method, cohort, states, 2)
    found = []
    for state in states:
        arrivals = [arrival(u, 1 / count) for u in updates if u.members != (state.device,)]
        after = row.method.merge(cohort, state, arrivals)
        parts = row.method.parts(cohort, state, arrivals)
        own = row.method.own_adapter(cohort, after)
        found.append(merge_loss(own, parts).gap if parts else math.nan)
    return found


EXACT = {"ffa_lora", "fedsa_lora", "rolora", "rolora both", "flora"}


@pytest.mark.parametrize("name", TABLE)
def test_a_merge_that_loses_nothing_has_no_gap_and_others_have_one(name):
    found = gaps(name)
    if name in EXACT:
        assert max(found) < 1e-6
    elif "apart" in name or name in ("n_lora", "lori", "sparse_orthogonal normalised"):
        assert np.isnan(found).all()  # each keeps its own
    else:
        assert min(found) > 1e-3


def test_methods_that_claim_to_be_exact_for_products_are_looked_at():
    claimed = {name for claim in ("mean", "own_b") for name in where(exact=claim)}
    assert claimed - EXACT == {"sparse_orthogonal normalised"}


def test_a_lone_mask_loses_what_its_own_a_does_not_carry():
    """Two devices, disjoint masks: by count B stays, so what is apart is half of each product."""
    method = SparseOrthogonal(rank=4, density=0.03)
    states = [trained(method, method.start(PLAIN, d), 2, PLAIN) for d in range(2)]
    updates = updates_of(method, PLAIN, states)
    assert not np.intersect1d(updates[0].coordinates, updates[1].coordinates).size
    arrivals = [arrival(updates[1], 0.5)]
    after = method.merge(PLAIN, states[0], arrivals)
    own, other = (method.own_adapter(PLAIN, state) for state in states)
    found = merge_loss(method.own_adapter(PLAIN, after), method.parts(PLAIN, states[0], arrivals))
    half = np.sqrt(sum(np.sum((x - y) ** 2) for x, y in zip(full(own), full(other), strict=True)))
    both = np.sqrt(sum(np.sum((x + y) ** 2) for x, y in zip(full(own), full(other), strict=True)))
    assert found.gap == pytest.approx(half / both, rel=1e-6)


def test_knowledge_kept_in_closed_form():
    earlier, other = adapter_of(2, 1), adapter_of(2, 2)
    same = knowledge_kept(earlier, earlier)
    assert (same.cosine, same.fraction) == (pytest.approx(1), pytest.approx(1))
    half = knowledge_kept(earlier, concatenate([(earlier, 0.5)]))
    assert (half.cosine, half.fraction) == (pytest.approx(1), pytest.approx(0.5))
    pairs = list(zip(full(earlier), full(other), strict=True))
    along = sum(np.sum(x * y) for x, y in pairs) / sum(np.sum(x * x) for x, _ in pairs)
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
