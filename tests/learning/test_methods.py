import itertools
import math

import method_helpers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from method_helpers import SITES, arrival, clique

from cosim.learning.adapter import Layout, Site
from cosim.learning.errors import LearningError
from cosim.learning.methods._draw import gaussian_a, kaiming_a
from cosim.learning.methods._masked import aggregate, top_mask
from cosim.learning.methods._measures import gram_ratios
from cosim.learning.methods.base import Cohort, Update, remember
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.lori import Lori
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal
from cosim.rng import Draws

LAYOUT = Layout(SITES, rank=2)
COHORT = Cohort(Draws(7), LAYOUT, num_devices=4)
METHODS = [
    Lori(rank=2, density=0.25, restart=False),
    SparseOrthogonal(rank=2, density=0.25, combine="concat"),
    SparseOrthogonal(rank=2, density=0.25, combine="linear"),
]


def trained(method, state, seed):
    return method_helpers.trained(method, state, seed, COHORT)


def devices(method, count=3, trainings=2):
    return method_helpers.devices(method, COHORT, count, trainings)


def merged_clique(method, states):
    return clique(method, COHORT, states, 0)


def product_of(layout, vector, site):
    return layout.b(vector, site) @ layout.a(vector, site)


def assert_answers(adapter, expected_by_site):
    for site, expected in enumerate(expected_by_site):
        product = adapter.scale * product_of(adapter.layout, adapter.vector, site)
        np.testing.assert_allclose(product, expected, rtol=1e-4, atol=1e-5)


# Masks


@given(
    st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=60),
    st.sampled_from([0.01, 0.07, 0.1, 0.3, 0.5, 1.0]),
)
def test_mask_is_the_head_of_a_stable_sort_by_magnitude(values, density):
    count = math.ceil(round(density * len(values), 6))
    order = sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))
    mask = top_mask(np.array(values, dtype=np.float32), density)
    assert np.flatnonzero(mask).tolist() == sorted(order[:count])


def test_mask_takes_the_digits_of_the_density_as_exact():
    assert 0.07 * 100 > 7  # in floating point, so its ceiling would be 8
    assert np.count_nonzero(top_mask(np.arange(100.0), 0.07)) == 7


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_first_training_fixes_the_mask_at_the_largest_b_of_all_layers(method):
    before = devices(method, trainings=0)[0]
    assert not before.trainable[: LAYOUT.size_a].any()
    assert before.trainable[LAYOUT.size_a :].all()
    assert method.steps(before, 10) == 30
    vector = before.vector.copy()
    vector[LAYOUT.size_a :] = np.random.default_rng(1).standard_normal(48)
    after = method.trained(COHORT, before, vector)
    assert method.steps(after, 10) == 10
    assert np.count_nonzero(after.trainable) == 12  # a quarter of 48
    assert not after.trainable[: LAYOUT.size_a].any()
    on, off = np.abs(vector)[after.trainable], np.abs(vector[LAYOUT.size_a :])
    assert on.min() >= np.sort(off)[-12]
    b = after.vector[LAYOUT.size_a :]
    np.testing.assert_array_equal(b != 0, after.trainable[LAYOUT.size_a :])
    later = trained(method, after, 5)
    np.testing.assert_array_equal(later.trainable, after.trainable)
    np.testing.assert_array_equal(later.vector[: LAYOUT.size_a], before.vector[: LAYOUT.size_a])


def test_lori_restarts_b_under_the_mask_and_sends_nothing_that_round():
    method = Lori(rank=2, density=0.1)
    warm = devices(method, trainings=1)[0]
    assert np.count_nonzero(warm.trainable) == 5
    np.testing.assert_array_equal(warm.vector[LAYOUT.size_a :], 0)
    np.testing.assert_array_equal(warm.vector[: LAYOUT.size_a], kaiming_a(COHORT, 0))
    assert method.update(COHORT, warm, 0) is None
    assert method.exchange(COHORT, warm, 0) == ()
    again = trained(method, warm, 9)
    assert method.update(COHORT, again, 1).values.size == 5


# A


def test_common_start_is_one_a_for_all_and_b_zero():
    common = devices(Lora(rank=2), trainings=0)
    np.testing.assert_array_equal(common[0].vector, common[2].vector)
    own = devices(Lora(rank=2, common_start=False), trainings=0)
    assert not np.array_equal(own[0].vector, own[2].vector)
    for state in common + own:
        assert not state.vector[LAYOUT.size_a :].any()


@pytest.mark.parametrize("draw", [gaussian_a, kaiming_a])
def test_a_is_addressed_by_seed_and_device(draw):
    other_seed = Cohort(Draws(8), LAYOUT, 4)
    more_devices = Cohort(Draws(7), LAYOUT, 9)
    np.testing.assert_array_equal(draw(COHORT, 3), draw(more_devices, 3))
    assert not np.array_equal(draw(COHORT, 3), draw(COHORT, 2))
    assert not np.array_equal(draw(COHORT, 3), draw(other_seed, 3))


def test_scales_of_a():
    # n = 80,000 for each; a mean square further than 6 deviations from its own has probability
    # below 1e-8 (the square of a normal has deviation sqrt(2), of 3u^2 with u uniform sqrt(4/5)).
    layout = Layout((Site("wide", 10_000, 1),), rank=8)
    cohort = Cohort(Draws(3), layout, 1)
    normal, uniform = gaussian_a(cohort, 0) * 100, kaiming_a(cohort, 0) * 100
    assert abs(np.mean(normal**2) - 1) < 6 * math.sqrt(2 / 80_000)
    assert abs(np.mean(3 * uniform**2) - 1) < 6 * math.sqrt(0.8 / 80_000)
    assert np.abs(uniform).max() <= 1
    assert abs(np.mean(normal)) < 6 / math.sqrt(80_000)


def test_exact_slices_are_orthonormal_across_devices():
    method = SparseOrthogonal(rank=2, orthogonal="exact")
    a = [method.frozen_a(COHORT, device) for device in range(4)]
    for i, j in itertools.combinations(range(4), 2):
        assert gram_ratios(LAYOUT, [a[i], a[j]])[0, 1] < 1e-6
    for site in range(2):
        own = LAYOUT.a(a[1], site)
        np.testing.assert_allclose(own @ own.T, np.eye(2), atol=1e-6)


def test_exact_slices_for_too_many_devices_say_what_would_do():
    method = SparseOrthogonal(rank=2, orthogonal="exact")
    cohort = Cohort(Draws(7), LAYOUT, num_devices=5)
    with pytest.raises(LearningError, match=r"5 x 2 = 10 > 8 at second.*devices x rank at most 8"):
        method.start(cohort, 0)


# Aggregation

OWN = np.array([2, 4, 0, 0], np.float32)
OWN_MASK = np.array([True, True, False, False])


def hand_arrivals(lost=()):
    b = Update((1,), 0, np.array([0, 2, 3]), np.array([8, 6, 4], np.float32))
    c = Update((2,), 0, np.array([0, 2]), np.array([2, 12], np.float32))
    return [arrival(b, 0.25, lost), arrival(c, 0.25)]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [0.5 * 2 + 0.25 * 8 + 0.25 * 2, 0.5 * 4, 0.25 * 6 + 0.25 * 12, 1]),
        ("count", [0.5 * 2 + 0.25 * 8 + 0.25 * 2, 4, (6 + 12) / 2, 4]),
        ("sum", [2 + 8 + 2, 4, 6 + 12, 4]),
    ],
)
def test_aggregation_by_hand(how, expected):
    np.testing.assert_allclose(aggregate(how, OWN, OWN_MASK, hand_arrivals()), expected)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [0.5 * 2 + 0.25 * 2 + 0.25 * 2, 2, 0.25 * 12, 1]),
        ("count", [0.5 * 2 + 0.25 * 2 + 0.25 * 2, 4, 12, 4]),
        ("sum", [2 + 2, 4, 12, 4]),
    ],
)
def test_a_lost_coordinate_counts_as_the_devices_own(how, expected):
    result = aggregate(how, OWN, OWN_MASK, hand_arrivals(lost=[0, 2]))
    np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize("combine", ["concat", "linear"])
def test_a_clique_with_counted_masks(combine):
    method = SparseOrthogonal(rank=2, density=0.5, combine=combine)
    states = devices(method)
    b = np.array([state.vector * state.trainable for state in states])
    count = np.sum([state.trainable for state in states], axis=0)
    mean = np.divide(b.sum(axis=0), count, out=np.zeros(LAYOUT.size), where=count > 0)
    assert (count > 1).any()
    for before, state in zip(states, merged_clique(method, states), strict=True):
        held = count > 0 if combine == "linear" else before.trainable
        expected = np.where(held, mean, 0)
        expected[: LAYOUT.size_a] = before.vector[: LAYOUT.size_a]
        np.testing.assert_allclose(state.vector, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(state.trainable, before.trainable)


def test_a_device_without_a_mask_keeps_what_arrives_and_aggregates_nothing():
    for combine in ("concat", "linear"):
        method = SparseOrthogonal(rank=2, density=0.25, combine=combine)
        fresh = devices(method, trainings=0)[0]
        update = method.update(COHORT, devices(method)[1], 0)
        merged = method.merge(COHORT, fresh, [arrival(update, 0.5)])
        np.testing.assert_array_equal(merged.vector, fresh.vector)
        np.testing.assert_array_equal(merged.known[1,].values, update.values)
        a = method.frozen_a(COHORT, 1)
        b = update.dense(LAYOUT)
        expected = [2.0 * LAYOUT.b(b, s) @ LAYOUT.a(a, s) for s in range(2)]
        assert_answers(method.inference(COHORT, merged), expected)


# Exchange and inference


def masked_methods():
    for agg, combine, alpha in itertools.product(
        ("count", "mean"), ("concat", "linear"), ("normalised", "one")
    ):
        yield SparseOrthogonal(
            rank=2, scale=1.5, density=0.4, agg=agg, combine=combine, alpha=alpha
        )


@pytest.mark.parametrize("method", list(masked_methods()), ids=str)
def test_masked_answer_is_the_papers_sum_computed_naively(method):
    """Devices 0 and 1 are a cluster, 2 and 3 another; then they exchange through 1 and 2."""
    states = devices(method, count=4)
    updates = [method.update(COHORT, state, 4) for state in states]
    for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
        states[i] = method.merge(COHORT, states[i], [arrival(updates[j], 0.5)])
    sent = method.exchange(COHORT, states[2], 5)
    state = method.store(states[1], [arrival(update) for update in sent])
    spread = method.store(states[0], [arrival(update) for update in sent])
    assert sorted(state.known) == ([(0,), (2,), (3,)] if method.combine == "concat" else [(2, 3)])

    a = [method.frozen_a(COHORT, device) for device in range(4)]
    alpha = 0.25 if method.alpha == "normalised" else 1.0
    own = {device: states[device].vector for device in (1, 2)}
    raw = [update.dense(LAYOUT) for update in updates]
    expected = []
    for site in range(2):
        if method.combine == "concat":  # own B after the merge, the others' as they were sent
            parts = [(a[1], own[1]), (a[0], raw[0]), (a[2], own[2]), (a[3], raw[3])]
        else:
            parts = [(a[0], own[1]), (a[1], own[1]), (a[2], own[2]), (a[3], own[2])]
        expected.append(
            sum(alpha * 1.5 * LAYOUT.b(b, site) @ LAYOUT.a(a_j, site) for a_j, b in parts)
        )
    adapter = method.inference(COHORT, state)
    assert_answers(adapter, expected)
    assert adapter.layout.rank == (8 if method.combine == "concat" else 4)
    assert spread.known.keys() >= {update.members for update in sent}


def test_linear_training_goes_on_from_the_aggregate_and_moves_only_the_mask():
    method = SparseOrthogonal(rank=2, density=0.25, combine="linear")
    merged = merged_clique(method, devices(method))[0]
    after = trained(method, merged, 9)
    off = ~merged.trainable
    np.testing.assert_array_equal(after.vector[off], merged.vector[off])
    assert np.count_nonzero(merged.vector[LAYOUT.size_a :]) > 12
    assert after.members == (0, 1, 2)
    again = method.merge(COHORT, after, [])  # all others left: their part is gone
    assert np.count_nonzero(again.vector[LAYOUT.size_a :]) <= 12
    assert again.members == (0,)


def test_lora_answer_weighs_clusters_by_their_members():
    method = Lora(rank=2)
    states = devices(method, count=4)
    own = merged_clique(method, states[:2])[1]
    other = Update((2, 3, 5), 1, np.arange(LAYOUT.size), states[2].vector)
    state = method.store(own, [arrival(other)])
    expected = [
        2.0 * (0.4 * product_of(LAYOUT, own.vector, s) + 0.6 * product_of(LAYOUT, other.values, s))
        for s in range(2)
    ]
    assert_answers(method.inference(COHORT, state), expected)
    (sent,) = method.exchange(COHORT, own, 8)
    assert (sent.members, sent.round) == ((0, 1), 8)
    np.testing.assert_array_equal(sent.values, own.vector)


# Memory


def entry(members, round, coordinates=(0,), value=1.0):
    values = np.full(len(coordinates), value, np.float32)
    return Update(members, round, np.array(coordinates, dtype=np.int64), values)


def test_newer_replaces_all_that_shares_a_member():
    known = {(1,): entry((1,), 1), (2, 3): entry((2, 3), 2), (4,): entry((4,), 9)}
    newer = entry((1, 2), 2)
    assert remember(known, arrival(newer)) == {(4,): known[4,], (1, 2): newer}
    assert set(known) == {(1,), (2, 3), (4,)}


def test_older_changes_nothing():
    known = {(1,): entry((1,), 1), (2, 3): entry((2, 3), 5)}
    assert remember(known, arrival(entry((1, 2), 4))) == known


def test_a_lost_coordinate_keeps_its_last_known_value():
    known = {(1,): entry((1,), 1, (3, 5, 9), 1.0)}
    newer = entry((1,), 2, (3, 5, 7), 2.0)
    found = remember(known, arrival(newer, lost=[5, 7]))[1,]
    assert found.round == 2
    assert found.coordinates.tolist() == [3, 5]  # 7 was never known, 9 is no longer sent
    assert found.values.tolist() == [2.0, 1.0]


def test_a_second_copy_of_a_round_takes_nothing_away():
    known = {(1,): entry((1,), 2, (3, 5, 9), 1.0)}
    part = entry((1,), 2, (5, 8), 1.0)  # passed on by a gateway that lost the rest
    found = remember(known, arrival(part))[1,]
    assert found.coordinates.tolist() == [3, 5, 8, 9]


def test_what_was_known_of_other_members_fills_no_gaps():
    known = {(1, 2): entry((1, 2), 1, (3, 5), 1.0)}
    found = remember(known, arrival(entry((1,), 2, (3, 5), 2.0), lost=[5]))
    assert found[1,].coordinates.tolist() == [3]
