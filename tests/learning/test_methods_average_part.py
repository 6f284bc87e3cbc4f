"""Methods that average a part: budgets met to the entry, error feedback, unequal ranks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from learner_helpers import delivered, learner, train
from method_helpers import (
    COHORTS,
    HEADED,
    NUM_AB,
    PLAIN,
    arrival,
    devices,
    products,
    read_only,
    trained,
)
from method_table import METHODS
from pydantic import ValidationError

from cosim.learning.methods._budget import at_random, rank_coordinates
from cosim.learning.methods.base import Cohort, Update
from cosim.learning.methods.flasc import Flasc
from cosim.learning.methods.hetlora import Hetlora, product_norm
from cosim.learning.methods.rlora import Rlora
from cosim.rng import Draws

BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)
LAYOUT = PLAIN.layout
A = LAYOUT.part_a


# Budgets


def test_rlora_draws_by_device_and_round():
    method = METHODS["rlora"]
    state, other = devices(method, PLAIN, count=2)
    sent = method.update(PLAIN, state, 3).coordinates
    again = devices(method, Cohort(Draws(7), LAYOUT, 9), trainings=2)[0]
    np.testing.assert_array_equal(sent, method.update(PLAIN, again, 3).coordinates)
    for different in (
        method.update(PLAIN, state, 4),
        method.update(PLAIN, other, 3),
        method.update(Cohort(Draws(8), LAYOUT, 4), state, 3),
        *method.exchange(PLAIN, state, 3),
    ):
        assert not np.array_equal(sent, different.coordinates)


def test_rlora_sends_every_coordinate_equally_often():
    """n = 176 coordinates x 2000 rounds of 53 each; a count further than 5 deviations from its
    mean has probability below 176 x 6e-7 = 1e-4 for all together.
    """
    state = devices(METHODS["rlora"], PLAIN, count=1)[0]
    sent = [METHODS["rlora"].update(PLAIN, state, round).coordinates for round in range(2000)]
    counts = np.bincount(np.concatenate(sent), minlength=NUM_AB)
    share = 53 / NUM_AB
    assert np.abs(counts - 2000 * share).max() < 5 * math.sqrt(2000 * share * (1 - share))


@BOTH
def test_flasc_sends_what_moved_most(cohort):
    method = METHODS["flasc"]
    before = devices(method, cohort)[0]
    after = trained(method, before, 5, cohort)
    moved = np.abs(after.vector - before.vector)[:NUM_AB]
    sent = method.update(cohort, after, 2).coordinates
    on = np.isin(np.arange(NUM_AB), sent)
    assert np.count_nonzero(on) == 53
    assert moved[on].min() > moved[~on].max()


def test_a_flasc_gateway_tells_what_is_farthest_from_the_start():
    method = METHODS["flasc"]
    state = devices(method, PLAIN)[0]
    (told,) = method.exchange(PLAIN, state, 1)
    moved = np.abs(state.vector - method.first_vector(PLAIN, 0))
    on = np.isin(np.arange(NUM_AB), told.coordinates)
    assert moved[on].min() > moved[~on].max()


def test_without_error_feedback_a_device_keeps_its_own_movement_and_remembers_none():
    method = METHODS["flasc"]
    before = devices(method, PLAIN)[0]
    vector = before.vector + np.float32(1)
    after = method.trained(PLAIN, before, vector)
    np.testing.assert_array_equal(after.vector, vector)
    assert after.waiting is None


def test_a_flasc_training_begins_from_the_largest_weights_and_moves_the_dense_adapter():
    method = METHODS["flasc download"]
    state = devices(method, HEADED, trainings=2)[0]
    adapter, trainable = method.training(HEADED, state)
    assert trainable.all()
    held = adapter.vector[:NUM_AB] != 0
    assert np.count_nonzero(held) == math.ceil(0.6 * NUM_AB)
    size = np.abs(state.vector[:NUM_AB])
    assert size[held].min() > size[~held].max()
    np.testing.assert_array_equal(adapter.vector[:NUM_AB][held], state.vector[:NUM_AB][held])
    head = HEADED.layout.part_head
    np.testing.assert_array_equal(adapter.vector[head], state.vector[head])
    movement = np.random.default_rng(1).standard_normal(HEADED.layout.size).astype(np.float32)
    after = method.trained(HEADED, state, adapter.vector + movement)
    np.testing.assert_allclose(after.vector, state.vector + movement, rtol=1e-5, atol=1e-6)


def test_a_flasc_server_broadcasts_its_largest_weights_and_clients_hold_nothing_else():
    method = Flasc(rank=4, density=0.3, download_density=0.25)
    cohort = replace(PLAIN, servers=frozenset({0}))
    server, *clients = devices(method, cohort, count=3, trainings=0)
    clients = [trained(method, client, 0, cohort) for client in clients]
    sent = [arrival(method.update(cohort, client, 1), 0.5) for client in clients]
    server = method.merge(cohort, server, sent)
    (down,) = method.broadcast(cohort, server, 1)
    assert len(down.coordinates) == math.ceil(0.25 * NUM_AB)
    lost = down.coordinates[:5]
    client = method.adopt(cohort, clients[0], [arrival(down, 1.0, lost)])
    expected = down.dense(LAYOUT)
    expected[lost] = clients[0].vector[lost]  # a lost packet is the client's own
    np.testing.assert_allclose(client.vector, expected, rtol=1e-6, atol=1e-6)
    whole = method.adopt(cohort, clients[0], [arrival(down, 1.0)])
    np.testing.assert_array_equal(method.training(cohort, whole)[0].vector, whole.vector)


@pytest.mark.parametrize("method", [Rlora(), Flasc(), Hetlora(sense="p3")], ids=str)
def test_what_a_gateway_leaves_out_is_as_all_started(method):
    method = method.model_copy(update={"rank": 4})
    near, far = devices(method, PLAIN, count=2)
    (told,) = method.exchange(PLAIN, far, 1)
    state = method.store(near, [arrival(told)])
    vector = method.experts(PLAIN, state)[1].adapter.vector
    expected = method.first_vector(PLAIN, 0)
    expected[told.coordinates] = far.vector[told.coordinates]
    np.testing.assert_array_equal(vector, expected)


# HetLoRA


def test_hetlora_devices_hold_the_first_ranks_by_their_number():
    method = Hetlora(ranks=(1, 4, 2))
    cohort = Cohort(Draws(7), LAYOUT, 5)
    for state, rank in zip(devices(method, cohort, count=5), (1, 4, 2, 1, 4), strict=True):
        held = np.zeros(LAYOUT.size, bool)
        held[rank_coordinates(LAYOUT, rank)] = True
        np.testing.assert_array_equal(state.trainable, held)
        assert np.count_nonzero(held) == rank * NUM_AB / 4
        np.testing.assert_array_equal(state.vector != 0, held)
        sent = method.update(cohort, state, 1).coordinates
        np.testing.assert_array_equal(sent, np.flatnonzero(held))
        for site in range(2):
            assert np.linalg.matrix_rank(products(LAYOUT, state.vector)[site]) == rank


@BOTH
def test_hetlora_weighs_by_norms_pads_with_zeros_and_cuts_off(cohort):
    method, layout = Hetlora(ranks=(2, 4)), cohort.layout
    states = devices(method, cohort)
    sent = [method.update(cohort, state, 1) for state in states]
    lost = sent[3].coordinates[::5]
    arrivals = [arrival(sent[1], 0.3), arrival(sent[2], 0.2), arrival(sent[3], 0.1, lost)]
    for receiver in (0, 1):
        own = states[receiver].vector
        filled = sent[3].dense(layout)
        filled[lost] = own[lost]
        parts = [own, sent[1].dense(layout), sent[2].dense(layout), filled]
        norms = [math.sqrt(sum(np.sum(p**2) for p in products(layout, v))) for v in parts]
        weights = np.array([0.4, 0.3, 0.2, 0.1]) * norms
        weights /= weights.sum()
        expected = sum(w * v.astype(np.float64) for w, v in zip(weights, parts, strict=True))
        expected[~states[receiver].trainable] = 0
        merged = method.merge(cohort, states[receiver], arrivals)
        np.testing.assert_allclose(merged.vector, expected, rtol=1e-5, atol=1e-6)
    assert not expected[~states[1].trainable].any()


def test_hetlora_in_a_clique_is_the_published_aggregate():
    method = Hetlora(ranks=(2, 4))
    states = devices(method, PLAIN)
    server = read_only(method.start(PLAIN, 0))
    sent = [method.update(PLAIN, state, 1) for state in states[1:]]
    server = method.merge(PLAIN, server, [arrival(update, 1 / 3) for update in sent])
    norms = np.array([product_norm(LAYOUT, state.vector) for state in states[1:]])
    expected = np.tensordot(norms / norms.sum(), [s.vector for s in states[1:]], axes=1)
    np.testing.assert_allclose(server.vector, expected, rtol=1e-5, atol=1e-6)
    assert (server.vector != 0).all()  # all ranks, though number 0 would train two
    (told,) = method.exchange(PLAIN, server, 1)
    np.testing.assert_array_equal(told.values, server.vector)
    (down,) = method.broadcast(PLAIN, server, 1)
    client = method.adopt(PLAIN, states[2], [arrival(down, 1.0)])
    held = states[2].trainable
    np.testing.assert_allclose(client.vector, np.where(held, expected, 0), rtol=1e-5, atol=1e-6)
    adapter, trainable = method.training(PLAIN, server)
    np.testing.assert_array_equal(trainable, rank_mask(2))
    assert not adapter.vector[~rank_mask(2)].any()


def rank_mask(count):
    mask = np.zeros(LAYOUT.size, bool)
    mask[rank_coordinates(LAYOUT, count)] = True
    return mask


def test_hetlora_of_products_that_are_zero_goes_by_the_weights():
    method = Hetlora(ranks=(4,))
    first = devices(method, PLAIN, count=2, trainings=0)
    other = Update((1,), 1, np.arange(LAYOUT.size), first[1].vector + np.float32(0))
    other.values[A] = 1
    merged = method.merge(PLAIN, first[0], [arrival(other, 0.25)])
    expected = 0.75 * first[0].vector[A] + 0.25
    np.testing.assert_allclose(merged.vector[A], expected, rtol=1e-6)


def test_p3_sends_the_first_whole_ranks_that_fit():
    for density, count in ((0.25, 1), (0.49, 1), (0.5, 2), (0.75, 3), (1.0, 4)):
        method = Hetlora(sense="p3", rank=4, density=density)
        state = devices(method, PLAIN)[1]
        assert state.trainable.all()
        sent = method.update(PLAIN, state, 1).coordinates
        np.testing.assert_array_equal(sent, np.flatnonzero(rank_mask(count)))
        assert len(sent) <= density * NUM_AB < len(sent) + NUM_AB / 4


def test_the_largest_of_ranks_is_the_rank():
    assert Hetlora(ranks=(4, 8, 16)).rank == 16
    assert Hetlora().rank == 8
    with pytest.raises(ValidationError, match=r"the largest of ranks, 16, got 8"):
        Hetlora(ranks=(4, 16), rank=8)
    with pytest.raises(ValidationError, match=r"at least one of 8 ranks, 1/8, got 0\.1"):
        Hetlora(sense="p3", rank=8, density=0.1)
    with pytest.raises(ValidationError):
        Hetlora(ranks=())


def test_product_norm_is_that_of_the_product():
    vector = np.random.default_rng(2).standard_normal(LAYOUT.size).astype(np.float32)
    expected = math.sqrt(sum(np.sum(p.astype(float) ** 2) for p in products(LAYOUT, vector)))
    assert product_norm(LAYOUT, vector) == pytest.approx(expected, rel=1e-6)
    assert product_norm(LAYOUT, np.zeros(LAYOUT.size)) == 0


def test_rlora_sends_no_positions_and_the_receiver_draws_them():
    subject, _ = learner(METHODS["rlora"], segment_bytes=1460)
    other, _ = learner(METHODS["flasc"], segment_bytes=1460)
    foreseen = subject.forecast().update_bits[0]
    sizes = {}
    for each in (subject, other):
        train(each, range(3), 1)
        payload = each.update_payload(0, 1, 1)
        sizes[each] = payload.num_bytes
    count = math.ceil(0.3 * 4 * (56 + 64))
    framing = 4 + 20 + 8  # checksum, header, and the name of the list
    assert sizes[subject] == 4 * count + framing == foreseen / 8
    assert sizes[other] - framing > 1.05 * 4 * count
    sent = subject._method.update(subject._cohort, subject._states[0], 1)
    payload = subject.update_payload(0, 1, 1)
    (drawn,) = payload.lists.values()
    cohort = Cohort(subject._cohort.draws, subject._cohort.layout, 3)
    np.testing.assert_array_equal(drawn, at_random(cohort, 0.3, "random_update", 0, 1))
    (arrival_,) = subject._arrivals([delivered(payload)], [0.5])
    np.testing.assert_array_equal(arrival_.update.coordinates, sent.coordinates)
    np.testing.assert_array_equal(arrival_.update.values, sent.values)
    told = subject.exchange_payload(0, 1, 1)
    assert told.num_bytes == 4 * count + framing
    onward = subject.spread_payload(1, 2, 1, [delivered(told)])
    assert onward is None or not onward.lists
