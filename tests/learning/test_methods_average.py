"""What every method that averages must obey, with a trained head and without."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from average_helpers import (
    COHORTS,
    METHODS,
    MIX,
    NUM_AB,
    arrival,
    assert_products,
    clique,
    devices,
    products,
    read_only,
    trained,
)
from hypothesis import given
from hypothesis import strategies as st

from cosim.learning.methods._average import average
from cosim.learning.methods.base import Arrival, Update

EVERY = pytest.mark.parametrize("name", METHODS)
BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)


def updates_of(method, cohort, states, round=1):
    return [method.update(cohort, state, round) for state in states]


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 9), st.floats(-8, 8, width=32), max_size=10),
            st.floats(0, 0.25),
        ),
        max_size=4,
    )
)
def test_average_is_the_formula_coordinate_by_coordinate(sent):
    own = np.linspace(-3, 3, 10, dtype=np.float32)
    arrivals, expected = [], own.astype(np.float64)
    for number, (values, weight) in enumerate(sent):
        at = np.array(sorted(values), dtype=np.int64)
        update = Update((number,), 0, at, np.array([values[i] for i in sorted(values)], np.float32))
        arrivals.append(Arrival(update, np.arange(10), weight))
        for i, value in values.items():
            expected[i] += weight * (value - float(own[i]))
    np.testing.assert_allclose(average(own, arrivals), expected, rtol=1e-6, atol=1e-6)


@EVERY
@BOTH
def test_training_moves_what_the_method_trains_and_nothing_else(name, cohort):
    method = METHODS[name]
    for state in devices(method, cohort, trainings=0):
        scope = np.zeros(cohort.layout.size, dtype=bool)
        scope[method.scope(cohort.layout)] = True
        for seed in range(3):
            adapter, trainable = method.training(cohort, state)
            assert trainable.any()
            assert not (trainable & ~scope).any()
            assert trainable[cohort.layout.part_head].all()
            after = trained(method, state, seed, cohort)
            if "feedback" in name or "download" in name:
                frozen = ~trainable
            else:
                np.testing.assert_array_equal(after.vector[~trainable], adapter.vector[~trainable])
                frozen = ~scope
            np.testing.assert_array_equal(after.vector[frozen], state.vector[frozen])
            assert after.trainings == state.trainings + 1
            state = after


@EVERY
@BOTH
def test_frozen_coordinates_never_move(name, cohort):
    """Over rounds of training, merging, exchange; what is out of scope stays as it started."""
    method = METHODS[name]
    states = devices(method, cohort, trainings=0)
    first = [state.vector.copy() for state in states]
    for round in range(1, 4):
        states = [trained(method, state, round, cohort) for state in states]
        states = clique(method, cohort, states, round)
    scope = method.scope(cohort.layout)
    for state, start in zip(states, first, strict=True):
        np.testing.assert_array_equal(state.vector[: scope.start], start[: scope.start])
        np.testing.assert_array_equal(state.vector[scope.stop :], start[scope.stop :])


@EVERY
@BOTH
def test_an_update_is_made_of_shared_coordinates_and_own_values(name, cohort):
    method = METHODS[name]
    for state in devices(method, cohort, trainings=2):
        update = method.update(cohort, state, 5)
        assert (update.members, update.round) == ((state.device,), 5)
        assert (np.diff(update.coordinates) > 0).all()
        assert np.isin(update.coordinates, method.shared(cohort.layout)).all()
        np.testing.assert_array_equal(update.values, state.vector[update.coordinates])
        head = np.arange(cohort.layout.size)[cohort.layout.part_head]
        assert np.isin(head, update.coordinates).all()
        expected = method.expected(cohort, state)
        assert (np.diff(expected) > 0).all()
        if name != "rolora":  # the next update is of the other factor
            assert len(expected) == len(update.coordinates)


@EVERY
def test_nothing_is_sent_before_the_first_training(name):
    method, cohort = METHODS[name], COHORTS["plain"]
    state = method.start(cohort, 0)
    assert method.update(cohort, state, 1) is None
    assert method.exchange(cohort, state, 1) == ()
    assert len(method.expected(cohort, state)) > 0


@EVERY
@BOTH
def test_an_arrival_of_nothing_changes_nothing(name, cohort):
    method = METHODS[name]
    states = devices(method, cohort)
    updates = updates_of(method, cohort, states)
    some = arrival(updates[0], 0.25)
    nothing = arrival(updates[2], 0.25, updates[2].coordinates)
    with_it = method.merge(cohort, states[1], [some, nothing])
    without = method.merge(cohort, states[1], [some])
    np.testing.assert_array_equal(with_it.vector, without.vector)
    assert with_it.members == without.members == (0, 1)
    assert with_it.known.keys() == without.known.keys()
    broadcast = replace(updates[2], members=(0, 2, 3))
    for update in (updates[2], broadcast):
        lost = arrival(update, 0.25, update.coordinates)
        alone = method.merge(cohort, states[1], [lost])
        np.testing.assert_array_equal(alone.vector, states[1].vector)
        assert alone.members == (1,)


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
    for state, answer in zip(merged, answers, strict=True):
        np.testing.assert_array_equal(state.vector, merged[0].vector)
        np.testing.assert_array_equal(answer, answers[0])
        assert state.members == (0, 1, 2, 3)


@EVERY
@BOTH
def test_weights_of_zero_change_nothing(name, cohort):
    method = METHODS[name]
    states = devices(method, cohort)
    arrivals = [arrival(update) for update in updates_of(method, cohort, states)[1:]]
    merged = method.merge(cohort, states[0], arrivals)
    np.testing.assert_array_equal(merged.vector, states[0].vector)


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

    (one, answer), (other, same) = merged(False), merged(True)
    np.testing.assert_array_equal(one.vector, other.vector)
    np.testing.assert_array_equal(answer.vector, same.vector)
    first, second = method.start(cohort, 0), method.start(cohort, 0)
    first.vector[:] = 5
    first.trainable[:] = False
    assert second.trainable.any()
    assert not (second.vector == 5).any()


@pytest.mark.parametrize("name", MIX)
@BOTH
def test_merge_is_the_average_and_what_was_lost_is_the_devices_own(name, cohort):
    method = METHODS[name]
    states = devices(method, cohort)
    updates = updates_of(method, cohort, states)
    own, weights = states[0].vector.astype(np.float64), (0.1, 0.3, 0.2)
    lost = [update.coordinates[::3] for update in updates[1:]]
    expected = own.copy()
    for update, weight, missing in zip(updates[1:], weights, lost, strict=True):
        filled = own.copy()
        filled[update.coordinates] = update.values
        filled[missing] = own[missing]
        expected += weight * (filled - own)
    arrivals = [arrival(u, w, m) for u, w, m in zip(updates[1:], weights, lost, strict=True)]
    merged = method.merge(cohort, states[0], arrivals)
    np.testing.assert_allclose(merged.vector, expected, rtol=1e-6, atol=1e-6)
    assert merged.members == (0, 1, 2, 3)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in ("n_lora-sum", "hetlora", "lora")])
@BOTH
def test_a_server_averages_without_a_part_of_its_own_and_sends_all_that_is_shared(name, cohort):
    method = METHODS[name]
    server, *clients = devices(method, cohort, trainings=0)
    clients = [trained(method, client, 0, cohort) for client in clients]
    updates = updates_of(method, cohort, clients)
    server = read_only(method.merge(cohort, server, [arrival(u, 1 / 3) for u in updates]))
    first = method.first_vector(cohort, 0).astype(np.float64)
    step = sum(u.dense(cohort.layout) - np.where(_at(u, cohort), first, 0) for u in updates) / 3
    np.testing.assert_allclose(server.vector, first + step, rtol=1e-5, atol=1e-6)
    down = method.update(cohort, server, 1)
    assert down.members == (0, 1, 2, 3)
    if name != "flasc-download":
        np.testing.assert_array_equal(down.coordinates, method.shared(cohort.layout))
    np.testing.assert_array_equal(down.values, server.vector[down.coordinates])
    client = method.merge(cohort, clients[0], [arrival(down, 1.0)])
    np.testing.assert_allclose(client.vector[down.coordinates], down.values, atol=1e-6)
    assert client.members == (0, 1, 2, 3)
    kept = np.setdiff1d(np.arange(cohort.layout.size), down.coordinates)
    stays = 0 if name == "flasc-download" else clients[0].vector[kept]
    np.testing.assert_array_equal(client.vector[kept], stays)


def _at(update, cohort):
    mask = np.zeros(cohort.layout.size, dtype=bool)
    mask[update.coordinates] = True
    return mask


@EVERY
@BOTH
def test_gateways_tell_and_devices_answer_with_all_that_is_known(name, cohort):
    """Devices 0 and 1 are a cluster, 2 and 3 another; 1 and 2 are gateways."""
    method, layout = METHODS[name], cohort.layout
    states = devices(method, cohort)
    updates = updates_of(method, cohort, states)
    for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
        states[i] = read_only(method.merge(cohort, states[i], [arrival(updates[j], 0.5)]))
    told = method.exchange(cohort, states[2], 2)
    assert sorted(m for update in told for m in update.members) == [2, 3]
    state = method.store(states[1], [arrival(update) for update in told])
    np.testing.assert_array_equal(state.vector, states[1].vector)  # stored, not aggregated
    back = method.exchange(cohort, state, 2)
    assert sorted(m for update in back for m in update.members) == [0, 1]  # only its cluster's

    experts = method.experts(cohort, state)
    assert sorted(m for expert in experts for m in expert.members) == [0, 1, 2, 3]
    by_members = {expert.members: expert.adapter for expert in experts}
    for update in told:
        vector = by_members[update.members].vector
        np.testing.assert_array_equal(vector[update.coordinates], update.values)
        rest = np.setdiff1d(np.arange(layout.size), update.coordinates)
        np.testing.assert_array_equal(vector[rest], method.background(cohort, state)[rest])
    share = {m: 1.0 if name == "n_lora-sum" else len(m) / 4 for m in by_members}
    answer = method.inference(cohort, state)
    expected = [
        sum(share[m] * products(layout, a.vector, a.scale)[site] for m, a in by_members.items())
        for site in range(2)
    ]
    assert_products(products(answer.layout, answer.vector, answer.scale), expected)
    head = sum(share[m] * a.vector[layout.part_head] for m, a in by_members.items())
    np.testing.assert_allclose(answer.vector[answer.layout.part_head], head, rtol=1e-5, atol=1e-6)


@EVERY
def test_no_device_counts_twice_after_a_new_plan(name):
    """Device 3 of another cluster is known; then a plan puts it into the own."""
    method, cohort = METHODS[name], COHORTS["plain"]
    states = devices(method, cohort)
    updates = updates_of(method, cohort, states)
    known = method.store(states[0], [arrival(u) for u in method.exchange(cohort, states[3], 1)])
    assert list(known.known) == [(3,)]
    joined = method.merge(cohort, known, [arrival(updates[3], 0.5)])
    members = [m for expert in method.experts(cohort, joined) for m in expert.members]
    assert sorted(members) == [0, 3]
    own = method.exchange(cohort, states[0], 1)
    assert method.store(states[0], [arrival(u) for u in own]).known == {}


@EVERY
@BOTH
def test_densities_are_fractions_of_the_scope(name, cohort):
    method = METHODS[name]
    scope = method.scope(cohort.layout)
    for trainings in (0, 1, 2):
        expected = method.expected(cohort, devices(method, cohort, trainings=trainings)[1])
        assert expected[0] >= scope.start
        assert expected[-1] < scope.stop


@BOTH
def test_budgets_are_met_to_the_entry(cohort):
    head = cohort.layout.size - NUM_AB
    sizes = {"rlora": 53, "flasc": 53, "hetlora-p3": 2 * 44}  # ceil(.3 176); floor(.6 4) ranks
    for name, size in sizes.items():
        method = METHODS[name]
        for state in devices(method, cohort, trainings=2):
            for round in (1, 2):
                assert len(method.update(cohort, state, round).coordinates) == size + head
                (told,) = method.exchange(cohort, state, round)
                assert len(told.coordinates) == size + head
            assert len(method.expected(cohort, state)) == size + head
