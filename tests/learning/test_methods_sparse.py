"""Methods that send a part: their budgets, and what error feedback conserves."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from method_helpers import (
    COHORTS,
    HEADED,
    NUM_AB,
    PLAIN,
    arrival,
    clique,
    devices,
    trained,
    updates_of,
)
from method_table import METHODS

from cosim.learning.adapter import Layout, Site
from cosim.learning.methods._apportion import apportion, budget_of, density_left
from cosim.learning.methods._orthogonal_factors import OrthogonalFactors
from cosim.learning.methods.fedlodrop import Fedlodrop
from cosim.learning.methods.soft import Soft, strongest

BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)
LAYOUT = PLAIN.layout


# Averages of movements


@pytest.mark.parametrize("name", ["soft", "soft weights", "fedlodrop", "fedlodrop p3"])
@BOTH
def test_merge_is_base_and_the_weighted_movements_of_what_each_sent(name, cohort):
    method = METHODS[name]
    states = clique(method, cohort, devices(method, cohort))
    states = [trained(method, state, 4, cohort) for state in states]
    updates, weights = updates_of(method, cohort, states), (0.4, 0.1, 0.3, 0.2)
    base = np.zeros(cohort.layout.size) if name == "soft weights" else states[0].base
    sent = [update.coordinates for update in updates]
    own = np.array(base, dtype=np.float64)
    own[sent[0]] = updates[0].values
    expected = base + weights[0] * (own - base)
    arrivals = []
    for update, weight in zip(updates[1:], weights[1:], strict=True):
        lost = update.coordinates[1::3]
        arrivals.append(arrival(update, weight, lost))
        value = np.array(base, dtype=np.float64)
        value[update.coordinates] = update.values
        value[lost] = own[lost]
        expected = expected + weight * (value - base)
    merged = method.merge(cohort, states[0], arrivals)
    np.testing.assert_allclose(merged.vector, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(merged.base, merged.vector)
    assert merged.members == (0, 1, 2, 3)


# SOFT


def test_over_rounds_all_training_is_sent_or_remembered():
    """Of deltas: the sum of all that was sent is the sum of all training, less the memory."""
    method = METHODS["soft"]
    states = devices(method, PLAIN, trainings=0)
    total_sent = total_trained = 0
    for round in range(6):
        after = [trained(method, state, round, PLAIN) for state in states]
        total_trained = total_trained + (after[2].vector.astype(float) - states[2].vector)
        update = method.update(PLAIN, after[2], round)
        sent = np.zeros(LAYOUT.size)
        sent[update.coordinates] = update.values - after[2].base[update.coordinates]
        total_sent = total_sent + sent
        states = clique(method, PLAIN, after, round)
    np.testing.assert_allclose(total_sent + states[2].memory, total_trained, atol=1e-5)


def test_all_of_the_adapter_is_sent_in_time():
    """With no more training, memory empties, though a component without A waits for the others."""
    method = METHODS["soft"]
    states = devices(method, PLAIN, trainings=1)
    waiting = [NUM_AB]
    while waiting[-1]:
        states = clique(method, PLAIN, states)
        states = [method.trained(PLAIN, state, state.vector) for state in states]
        waiting.append(np.count_nonzero(states[0].memory))
        assert waiting[-1] < waiting[-2]
    assert waiting[1] == NUM_AB - 53


def test_a_merge_without_training_in_between_sends_no_memory():
    method = METHODS["soft"]
    states = clique(method, PLAIN, devices(method, PLAIN))
    update = method.update(PLAIN, trained(method, states[1], 8, PLAIN), 2)
    merged = method.merge(PLAIN, states[0], [arrival(update, 0.5)])
    np.testing.assert_array_equal(merged.memory, states[0].memory)
    moved = np.flatnonzero(merged.vector != states[0].vector)
    assert np.isin(moved, update.coordinates).all()


def test_literal_feedback_counts_what_is_not_sent_as_zero():
    method = METHODS["soft weights"]
    state = clique(method, PLAIN, devices(method, PLAIN))[0]
    masks = [method.chosen(PLAIN, each) for each in devices(method, PLAIN)]
    nobody = ~np.any(masks, axis=0)
    assert nobody.any()
    np.testing.assert_array_equal(state.vector[nobody], 0)
    deltas = METHODS["soft"]
    start = deltas.start(PLAIN, 0).vector
    state = clique(deltas, PLAIN, devices(deltas, PLAIN))[0]
    masks = [deltas.chosen(PLAIN, each) for each in devices(deltas, PLAIN)]
    nobody = ~np.any(masks, axis=0)
    np.testing.assert_array_equal(state.vector[nobody], start[nobody])


def test_a_device_alone_keeps_its_training():
    method = METHODS["soft"]
    state = method.merge(PLAIN, trained(method, method.start(PLAIN, 0), 1, PLAIN), [])
    np.testing.assert_array_equal(state.base, state.vector)
    after = trained(method, state, 2, PLAIN)
    update = method.update(PLAIN, after, 1)
    moved = after.vector - state.vector
    expected = np.flatnonzero(strongest(LAYOUT, moved, 0.7))
    np.testing.assert_array_equal(update.coordinates, expected)


def test_the_choice_by_hand():
    """One layer, 2 in, 1 out, rank 2: sigma = (5, 10) of 6 entries, half of them kept."""
    layout = Layout((Site("one", 2, 1),), rank=2)
    vector = np.array([3, 4, 0, -5, 1, 2], np.float32)  # a_0, a_1, then b_0, b_1
    mask = strongest(layout, vector, 0.5)
    # 3 entries in proportion 5 : 10 are 1 and 2: 4 of (3, 4, 1); -5 and 2 of (0, -5, 2)
    assert mask.tolist() == [False, True, False, True, False, True]
    # all sigma 0: 3 entries evenly are 2 and 1; ties go to A, then to the lowest index
    assert strongest(layout, vector * [1, 1, 1, 1, 0, 0], 0.5).tolist() == [
        *(True, True),
        *(False, True),
        *(False, False),
    ]
    # sigma (0, 10): 4 entries, 3 fill component 1, the fourth goes to component 0
    one_sided = strongest(layout, vector * [1, 1, 1, 1, 0, 1], 0.33)
    assert one_sided.tolist() == [True, True, True, True, False, True]


@given(st.floats(0, 0.99).map(lambda drop: round(drop, 2)), st.integers(0, 99))
def test_the_choice_is_that_of_a_plain_loop(drop, seed):
    layout = Layout((Site("first", 6, 4), Site("second", 3, 5)), rank=3)
    vector = np.random.default_rng(seed).standard_normal(layout.size).astype(np.float32)
    mask = strongest(layout, vector, drop)
    sizes = [30, 24]
    budgets = apportion(budget_of(density_left(drop), 54), sizes, sizes)
    assert mask.sum() == budgets.sum()
    for site, budget in enumerate(budgets):
        a, b = layout.a(vector, site), layout.b(vector, site)
        each = a.shape[1] + b.shape[0]
        scores = [np.linalg.norm(a[j]) * np.linalg.norm(b[:, j]) for j in range(3)]
        counts = apportion(int(budget), scores, [each] * 3)
        chosen_a = layout.a(mask, site)
        chosen_b = layout.b(mask, site)
        for j, count in enumerate(counts):
            entries = np.abs([*a[j], *b[:, j]])
            chosen = np.array([*chosen_a[j], *chosen_b[:, j]])
            assert chosen.sum() == count
            assert entries[chosen].min(initial=np.inf) >= entries[~chosen].max(initial=0)


def test_the_penalty_is_the_off_diagonal_of_both_gram_matrices():
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 4, 3))
    found = OrthogonalFactors(0.5).of_site(torch.tensor(a), torch.tensor(b), torch.ones(2))
    for device in range(2):
        expected = sum(
            gram[i, j] ** 2
            for gram in (a[device] @ a[device].T, b[device].T @ b[device])
            for i, j in itertools.permutations(range(3), 2)
        )
        assert float(found[device]) == pytest.approx(0.5 * expected)
    q = torch.tensor(np.linalg.qr(rng.standard_normal((5, 3)))[0].T[None])
    assert float(OrthogonalFactors(1.0).of_site(q, q.mT * 3, torch.ones(1))) < 1e-20


def test_the_penalty_has_a_gradient_and_is_off_at_weight_zero():
    a = torch.randn(1, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    b = torch.randn(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    penalty, scale = OrthogonalFactors(0.3), torch.ones(1)
    assert torch.autograd.gradcheck(
        lambda x, y: penalty.of_site(x, y, scale), (a.requires_grad_(), b.requires_grad_())
    )
    assert Soft(orthogonality=0.0).penalty() is None
    assert Soft(orthogonality=0.2).penalty() == OrthogonalFactors(0.2)
    assert len({OrthogonalFactors(0.2), OrthogonalFactors(0.2)}) == 1


# FedLoDrop


@BOTH
def test_dropout_takes_columns_of_a_and_rows_of_b_out_of_training_and_sending(cohort):
    method, layout = METHODS["fedlodrop"], cohort.layout
    state = clique(method, cohort, devices(method, cohort, trainings=2))[1]
    adapter, kept = method.training(cohort, state)
    assert not kept.all()
    np.testing.assert_array_equal(adapter.vector, np.where(kept, state.vector, 0))
    for site in range(2):
        a, b = layout.a(kept, site), layout.b(kept, site)
        assert (a == a[:1]).all()
        assert (b == b[:, :1]).all()
    after = trained(method, state, 8, cohort)
    np.testing.assert_array_equal(after.vector[~kept], state.vector[~kept])
    assert (after.vector != state.vector)[kept].all()
    update = method.update(cohort, after, 1)
    np.testing.assert_array_equal(update.coordinates, np.flatnonzero(kept))
    np.testing.assert_array_equal(update.values, after.vector[kept])


def test_dropout_has_its_rate_and_hangs_on_device_and_training():
    # n = 2 x 20,000 Bernoulli(0.7): a fraction further than 6 deviations off has probability 2e-9.
    layout = Layout((Site("wide", 20_000, 20_000),), rank=1)
    cohort, method = replace(PLAIN, layout=layout), Fedlodrop(rank=1, drop=0.3)
    state = method.start(cohort, 0)
    _, kept = method.training(cohort, state)
    assert abs(np.mean(kept) - 0.7) < 6 * np.sqrt(0.21 / 40_000)
    other, later = method.start(cohort, 1), method.trained(cohort, state, state.vector)
    for each in (other, later):
        assert abs(np.mean(method.training(cohort, each)[1] & kept) - 0.49) < 0.02
    np.testing.assert_array_equal(method.training(cohort, replace(state))[1], kept)


def test_the_state_tells_what_the_next_training_may_move():
    # Measured collisions and the density of a training go by it.
    method = METHODS["fedlodrop"]
    state = method.start(PLAIN, 0)
    masks = []
    for number in range(3):
        adapter, kept = method.training(PLAIN, state)
        np.testing.assert_array_equal(state.trainable, kept)
        masks.append(kept)
        state = method.trained(PLAIN, state, adapter.vector + number * kept)
    assert len({mask.tobytes() for mask in masks}) == 3


def test_what_a_device_drops_counts_as_not_moved():
    method = METHODS["fedlodrop"]
    states = devices(method, PLAIN)
    start = method.start(PLAIN, 0).vector
    kept = np.array([method.chosen(PLAIN, state) for state in states])
    moves = np.array([state.vector - start for state in states]) * kept
    merged = clique(method, PLAIN, states)[2]
    np.testing.assert_allclose(merged.vector, start + moves.sum(axis=0) / 4, atol=1e-6)


def test_p3_sends_whole_components_but_for_one():
    method = METHODS["fedlodrop p3"]
    for state in devices(method, HEADED):
        assert method.training(HEADED, state)[1].all()
        mask, layout = method.chosen(HEADED, state), HEADED.layout
        parts = 0
        for site in range(2):
            a, b = layout.a(mask, site), layout.b(mask, site)
            for j in range(4):
                entries = [*a[j], *b[:, j]]
                parts += any(entries) and not all(entries)
        assert parts <= 1
    masks = [method.chosen(HEADED, state) for state in devices(method, HEADED)]
    assert len({mask.tobytes() for mask in masks}) == 4
