"""Methods that merge products, and what all methods must obey that merge in a way of their own."""

import itertools

import numpy as np
import pytest
from average_helpers import COHORTS, arrival, read_only
from exact_helpers import (
    HEADED,
    METHODS,
    PLAIN,
    answer,
    best,
    clique,
    devices,
    error,
    full,
    mean_of,
    trained,
    updates_of,
)
from pydantic import ValidationError

from cosim.learning.adapter import Adapter, Layout, concatenate
from cosim.learning.methods.flexlora import Flexlora
from cosim.learning.methods.flora import Flora

EVERY = pytest.mark.parametrize("name", METHODS)
BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)


# What all obey


@EVERY
@BOTH
def test_training_moves_what_it_may_and_nothing_else(name, cohort):
    method = METHODS[name]
    for state in clique(method, cohort, devices(method, cohort, trainings=2)):
        adapter, trainable = method.training(cohort, state)
        assert len(trainable) == adapter.layout.size
        assert trainable[adapter.layout.part_head].all()
        after = trained(method, state, 3, cohort)
        assert after.trainings == state.trainings + 1
        moved = after.vector != state.vector
        assert not moved[~state.trainable].any()
        again, _ = method.training(cohort, after)
        if not name.startswith("fedlodrop"):  # its next training drops other coordinates
            np.testing.assert_array_equal(again.vector != adapter.vector, trainable)


@EVERY
@BOTH
def test_nothing_is_sent_before_the_first_training(name, cohort):
    method = METHODS[name]
    state = method.start(cohort, 0)
    assert method.update(cohort, state, 1) is None
    assert method.exchange(cohort, state, 1) == ()
    assert len(method.expected(cohort, state)) > 0


@EVERY
@BOTH
def test_an_update_is_ascending_and_holds_the_head(name, cohort):
    method = METHODS[name]
    head = np.arange(cohort.layout.size)[cohort.layout.part_head]
    for state in devices(method, cohort, trainings=2):
        update = method.update(cohort, state, 5)
        assert (update.members, update.round) == ((state.device,), 5)
        assert (np.diff(update.coordinates) > 0).all()
        assert np.isin(head, update.coordinates).all()
        assert update.values.dtype == np.float32
        expected = method.expected(cohort, state)
        assert (np.diff(expected) > 0).all()
        if name != "fedlodrop":  # its next mask is of another size
            assert len(expected) == len(update.coordinates)


@EVERY
@BOTH
def test_an_arrival_of_nothing_and_weights_of_zero_change_nothing(name, cohort):
    method = METHODS[name]
    states = clique(method, cohort, devices(method, cohort, trainings=2))
    states = [trained(method, state, 5, cohort) for state in states]
    updates = updates_of(method, cohort, states)
    nothing = arrival(updates[2], 0.25, updates[2].coordinates)
    before = answer(method, cohort, states[0])
    for arrivals in ([], [nothing], [arrival(updates[1], 0.0)]):
        alone = method.merge(cohort, states[0], arrivals)
        np.testing.assert_array_equal(alone.vector, states[0].vector)
        assert error(answer(method, cohort, alone), before) == 0
    some = arrival(updates[1], 0.25)
    with_it = method.merge(cohort, states[0], [some, nothing])
    without = method.merge(cohort, states[0], [some])
    np.testing.assert_array_equal(with_it.vector, without.vector)
    assert with_it.members == without.members == (0, 1)
    assert error(answer(method, cohort, with_it), answer(method, cohort, without)) == 0


@EVERY
@BOTH
def test_the_order_of_arrival_does_not_matter(name, cohort):
    method = METHODS[name]
    states = devices(method, cohort)
    updates = updates_of(method, cohort, states)
    arrivals = [arrival(u, w) for u, w in zip(updates[1:], (0.1, 0.3, 0.2), strict=True)]
    merged = [
        method.merge(cohort, states[0], list(order)) for order in itertools.permutations(arrivals)
    ]
    answers = [method.inference(cohort, state).vector for state in merged]
    for state, vector in zip(merged, answers, strict=True):
        np.testing.assert_array_equal(state.vector, merged[0].vector)
        np.testing.assert_array_equal(vector, answers[0])
        assert state.members == (0, 1, 2, 3)


@EVERY
@BOTH
def test_a_state_hangs_on_its_own_past_and_its_arrivals_alone(name, cohort):
    """What others do with their arrays after they sent reaches nobody."""
    method = METHODS[name]

    def merged(scribble):
        states = [trained(method, method.start(cohort, d), 0, cohort) for d in range(3)]
        updates = updates_of(method, cohort, states)
        if scribble:
            for state in states[1:]:
                state.vector.setflags(write=True)
                state.vector[:] = 99
        after = method.merge(cohort, states[0], [arrival(u, 0.3) for u in updates[1:]])
        told = method.exchange(cohort, after, 2)
        assert not any(np.shares_memory(u.values, after.vector) for u in (*updates, *told))
        return after, method.inference(cohort, after)

    (one, first), (other, second) = merged(False), merged(True)
    np.testing.assert_array_equal(one.vector, other.vector)
    np.testing.assert_array_equal(first.vector, second.vector)


@EVERY
@BOTH
def test_devices_of_a_clique_agree(name, cohort):
    """After a merge with equal weights all answer alike, as far as their ranks allow."""
    method = METHODS[name]
    states = devices(method, cohort)
    for round in range(3):
        states = clique(method, cohort, [trained(method, s, round, cohort) for s in states], round)
    same = [state for state in states if name != "flexlora-ranks" or state.device % 3 == 0]
    for state in same[1:]:
        wanted, found = answer(method, cohort, same[0]), answer(method, cohort, state)
        assert error(found, wanted) < 1e-5
        np.testing.assert_allclose(
            state.vector[cohort.layout.part_head],
            same[0].vector[cohort.layout.part_head],
            rtol=1e-4,
            atol=1e-6,
        )


@EVERY
@BOTH
def test_the_head_is_averaged_and_what_was_lost_of_it_is_the_devices_own(name, cohort):
    method, layout = METHODS[name], cohort.layout
    states = devices(method, cohort)
    updates = updates_of(method, cohort, states)
    head = np.arange(layout.size)[layout.part_head]
    lost = head[::2]
    merged = method.merge(cohort, states[0], [arrival(updates[1], 0.25, lost)])
    own, other = states[0].vector[head], states[1].vector[head].copy()
    other[::2] = own[::2]
    np.testing.assert_allclose(merged.vector[head], 0.75 * own + 0.25 * other, rtol=1e-5, atol=1e-6)
    adapter = method.inference(cohort, merged)
    np.testing.assert_array_equal(adapter.vector[adapter.layout.part_head], merged.vector[head])


@EVERY
@BOTH
def test_gateways_tell_and_devices_answer_with_all_that_is_known(name, cohort):
    """Devices 0 and 1 are a cluster, 2 and 3 another; 1 and 2 are gateways."""
    method = METHODS[name]
    states = devices(method, cohort)
    updates = updates_of(method, cohort, states)
    for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
        states[i] = read_only(method.merge(cohort, states[i], [arrival(updates[j], 0.5)]))
    (told,) = method.exchange(cohort, states[2], 2)
    assert told.members == (2, 3)
    state = method.store(states[1], [arrival(told)])
    np.testing.assert_array_equal(state.vector, states[1].vector)  # stored, not aggregated
    own, far = method.experts(cohort, state)
    assert (own.members, far.members) == ((0, 1), (2, 3))
    assert error(full(own.adapter), answer(method, cohort, states[1])) == 0
    np.testing.assert_array_equal(far.adapter.vector[told.coordinates], told.values)
    halves = [(x + y) / 2 for x, y in zip(full(own.adapter), full(far.adapter), strict=True)]
    assert error(answer(method, cohort, state), halves) < 1e-6
    joined = method.merge(cohort, state, [arrival(updates[2], 0.5)])
    assert joined.known == {}


@EVERY
@BOTH
def test_a_server_that_has_not_trained_gives_itself_no_weight(name, cohort):
    method = METHODS[name]
    server, *clients = devices(method, cohort, trainings=0)
    clients = [trained(method, client, 0, cohort) for client in clients]
    updates = updates_of(method, cohort, clients)
    merged = method.merge(cohort, server, [arrival(u, 1 / 3) for u in updates])
    assert merged.members == (0, 1, 2, 3)
    if name.startswith("fl"):
        mean = mean_of(method, cohort, clients, [1 / 3] * 3)
        if name != "flora":  # cut to the largest rank of all
            mean = best(mean, 4)
        assert error(answer(method, cohort, merged), mean) < 1e-5
        return
    start = server.vector if name != "soft-weights" else np.zeros_like(server.vector)
    expected = start + sum(sent_movement(u, start) for u in updates) / 3
    np.testing.assert_allclose(merged.vector, expected, rtol=1e-5, atol=1e-6)
    down = method.update(cohort, merged, 1)
    np.testing.assert_array_equal(down.coordinates, np.arange(cohort.layout.size))
    client = method.merge(cohort, clients[0], [arrival(down, 1.0)])
    np.testing.assert_allclose(client.vector, merged.vector, rtol=1e-5, atol=1e-6)


def sent_movement(update, start):
    moved = np.zeros_like(start)
    moved[update.coordinates] = update.values - start[update.coordinates]
    return moved


# FLoRA


@BOTH
def test_stacking_is_exact_round_after_round(cohort):
    """30 merges of 4 ranks by 4 devices: recompressed from the third on."""
    method, weights = Flora(rank=4), [1 / 4] * 4
    states = devices(method, cohort)
    expected = [np.zeros((10, 12)), np.zeros((14, 8))]
    for round in range(30):
        states = [trained(method, state, round, cohort) for state in states]
        modules = [full(Adapter(cohort.layout, state.vector, method.scale)) for state in states]
        expected = [
            kept + sum(w * m[site] for w, m in zip(weights, modules, strict=True))
            for site, kept in enumerate(expected)
        ]
        states = clique(method, cohort, states, round)
        for state in states:
            assert state.residual.layout.rank <= 10
            assert error(full(state.residual), expected) < 1e-5
            assert error(answer(method, cohort, state), expected) < 1e-5


def test_the_residual_grows_by_the_ranks_of_who_was_merged():
    method = Flora(rank=2)
    cohort = type(PLAIN)(PLAIN.draws, Layout(PLAIN.layout.sites, 2), 4)
    states = clique(method, cohort, devices(method, cohort, count=2))
    assert states[0].residual.layout.rank == 4
    again = clique(method, cohort, [trained(method, s, 1, cohort) for s in states])
    assert again[0].residual.layout.rank == 8
    assert method.training(cohort, again[0])[0].layout.rank == 10


def test_modules_start_anew_from_one_a_and_train_beside_a_frozen_residual():
    method, layout = Flora(rank=4), PLAIN.layout
    first = devices(method, PLAIN, trainings=0)[0].vector
    states = clique(method, PLAIN, devices(method, PLAIN))
    for state in states:
        np.testing.assert_array_equal(state.vector, states[0].vector)
        assert not state.vector[layout.part_b].any()
        assert not np.isclose(state.vector[layout.part_a], first[layout.part_a]).all()
    adapter, trainable = method.training(PLAIN, states[1])
    assert np.count_nonzero(trainable) == layout.size
    joined = adapter.layout
    for site in range(2):
        np.testing.assert_array_equal(
            joined.a(adapter.vector, site)[:4], layout.a(states[1].vector, site)
        )
        assert joined.a(trainable, site)[:4].all()
        assert not joined.a(trainable, site)[4:].any()
        assert joined.b(trainable, site)[:, :4].all()
        assert not joined.b(trainable, site)[:, 4:].any()
    after = trained(method, states[1], 8, PLAIN)
    assert after.residual is states[1].residual
    np.testing.assert_array_equal(method.update(PLAIN, after, 2).values, after.vector)


def test_what_a_packet_lost_of_a_module_is_the_receivers():
    method, layout = Flora(rank=4), HEADED.layout
    states = devices(method, HEADED)
    update = method.update(HEADED, states[1], 1)
    lost = np.array([3, 40, 95, 140])
    merged = method.merge(HEADED, states[0], [arrival(update, 0.25, lost)])
    filled = states[1].vector.copy()
    filled[lost] = states[0].vector[lost]
    wanted = full(
        concatenate(
            [(Adapter(layout, states[0].vector, 2.0), 0.75), (Adapter(layout, filled, 2.0), 0.25)]
        )
    )
    assert error(full(merged.residual), wanted) < 1e-6
    assert not merged.residual.vector[merged.residual.layout.part_head].any()


def test_a_gateway_sends_the_nearest_module_of_all_it_holds():
    method = Flora(rank=4)
    states = clique(method, PLAIN, devices(method, PLAIN))
    states = [trained(method, state, 7, PLAIN) for state in states]
    (told,) = method.exchange(PLAIN, states[0], 2)
    sent = Adapter(PLAIN.layout, told.dense(PLAIN.layout), 2.0)
    assert error(full(sent), best(answer(method, PLAIN, states[0]), 4)) < 1e-5


def test_a_device_without_a_module_of_its_own_has_nothing_to_stack():
    """A device that merged and has not trained since: its B is 0, and adds no ranks."""
    method = Flora(rank=4)
    states = clique(method, PLAIN, devices(method, PLAIN, count=2))
    update = method.update(PLAIN, trained(method, states[1], 3, PLAIN), 2)
    merged = method.merge(PLAIN, states[0], [arrival(update, 0.5)])
    assert merged.residual.layout.rank == min(8 + 4, 10)
    module = Adapter(PLAIN.layout, update.dense(PLAIN.layout), 2.0)
    wanted = [x + 0.5 * y for x, y in zip(full(states[0].residual), full(module), strict=True)]
    assert error(full(merged.residual), wanted) < 1e-5


# FlexLoRA


@BOTH
def test_the_merged_module_is_the_best_of_the_mean_product_at_each_ones_rank(cohort):
    method, weights = Flexlora(ranks=(2, 4, 1)), (0.4, 0.3, 0.2, 0.1)
    states = devices(method, cohort)
    mean = mean_of(method, cohort, states, weights)
    updates = updates_of(method, cohort, states)
    for state, rank in zip(states, (2, 4, 1, 2), strict=True):
        given = [w for d, w in enumerate(weights) if d != state.device]
        others = [u for u in updates if u.members != (state.device,)]
        own = 1 - sum(given)
        assert own == pytest.approx(weights[state.device])
        merged = method.merge(
            cohort, state, [arrival(u, w) for u, w in zip(others, given, strict=True)]
        )
        assert error(answer(method, cohort, merged), best(mean, rank)) < 1e-5
        assert not merged.vector[~state.trainable].any()
        np.testing.assert_array_equal(merged.trainable, state.trainable)


def test_devices_send_the_ranks_they_have():
    method = Flexlora(ranks=(2, 4, 1))
    assert method.rank == 4
    for state, rank in zip(devices(method, HEADED), (2, 4, 1, 2), strict=True):
        assert np.count_nonzero(state.trainable) == rank * 44 + 18
        update = method.update(HEADED, state, 1)
        np.testing.assert_array_equal(update.coordinates, np.flatnonzero(state.trainable))
        (told,) = method.exchange(HEADED, state, 1)
        assert len(told.coordinates) == rank * 44 + 18


def test_averaging_equal_ranks_by_products_loses_only_what_the_rank_cannot_hold():
    """Two devices of rank 2 in a layout of rank 4: the mean product has rank 4, so it is exact."""
    method = Flexlora(ranks=(2, 2, 4))
    states = devices(method, PLAIN, count=3)
    updates = updates_of(method, PLAIN, states)
    merged = method.merge(PLAIN, states[2], [arrival(u, 0.5) for u in updates[:2]])
    mean = mean_of(method, PLAIN, states[:2], (0.5, 0.5))
    assert error(answer(method, PLAIN, merged), mean) < 1e-5


def test_rank_is_the_largest_of_the_ranks():
    assert Flexlora.model_validate({"ranks": (2, 16, 8)}).rank == 16
    assert Flexlora().rank == 8
    with pytest.raises(ValidationError, match="largest of ranks, 16, got 8; leave `rank` out"):
        Flexlora(ranks=(16,), rank=8)
