"""What every method must obey: what is trained, sent and merged, and that nothing leaks."""

import itertools
from copy import deepcopy
from dataclasses import replace
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from method_helpers import (
    COHORTS,
    PLAIN,
    answer,
    arrays_of,
    arrival,
    clique,
    error,
    read_only,
    trained,
    updates_of,
)
from method_table import TABLE, kind, own_values, ready, row_of, where

from cosim.plugin import find, kinds

EVERY = pytest.mark.parametrize("name", TABLE)
BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)


def head_of(layout):
    return np.arange(layout.size)[layout.part_head]


def snapshot(state):
    return [array.copy() for array in arrays_of(state)]


def assert_same(one, other):
    """Two states, or adapters, are alike bit by bit."""
    for x, y in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(x, y)
    assert getattr(one, "members", None) == getattr(other, "members", None)
    assert dict(getattr(one, "known", {})).keys() == dict(getattr(other, "known", {})).keys()


# The table


def test_the_table_has_every_kind():
    assert {kind(name) for name in TABLE} == set(kinds("method"))


@pytest.mark.parametrize("each", kinds("method"))
def test_the_table_has_every_variant_of_a_kind(each):
    """Each value of each option, where options are one of a few words, or on and off."""
    rows = [row.method for name, row in TABLE.items() if kind(name) == each]
    for field, about in find("method", each).model_fields.items():
        options = get_args(about.annotation) if get_origin(about.annotation) is Literal else ()
        if about.annotation is bool:
            options = (False, True)
        there = {getattr(method, field) for method in rows}
        if each == "lori":  # what it has in common with sparse_orthogonal is the same code
            there |= {getattr(TABLE[n].method, field, None) for n in where(sends="mask")}
        assert set(options) <= there, f"{field} of {each}"


# What is trained


@EVERY
@BOTH
def test_training_moves_what_it_may_and_nothing_else(name, cohort):
    _, method, cohort = row_of(name, cohort)
    scope = np.zeros(cohort.layout.size, dtype=bool)
    scope[method.scope(cohort.layout)] = True
    scope[cohort.layout.part_head] = True
    for state in clique(method, cohort, ready(name, cohort)):
        adapter, trainable = method.training(cohort, state)
        assert len(trainable) == adapter.layout.size
        assert trainable.any()
        assert trainable[adapter.layout.part_head].all()
        assert not (state.trainable & ~scope).any()
        after = trained(method, state, 3, cohort)
        assert after.trainings == state.trainings + 1
        still = ~state.trainable
        np.testing.assert_array_equal(after.vector[still], state.vector[still])


@EVERY
@BOTH
def test_masks_are_fixed_where_they_are_and_frozen_coordinates_keep_their_bits(name, cohort):
    """Over rounds of training and merging."""
    row, method, cohort = row_of(name, cohort)
    states = ready(name, cohort)
    fixed = [state.trainable for state in states]
    frozen = np.ones(cohort.layout.size, dtype=bool)
    frozen[method.scope(cohort.layout)] = frozen[cohort.layout.part_head] = False
    start = [state.vector for state in states]
    masks = set()
    for round in range(3):
        masks |= {method.training(cohort, state)[1].tobytes() for state in states[:1]}
        states = clique(method, cohort, [trained(method, s, round, cohort) for s in states], round)
        for state, mask, first in zip(states, fixed, start, strict=True):
            np.testing.assert_array_equal(state.vector[frozen], first[frozen])
            if row.fixed_mask:
                np.testing.assert_array_equal(state.trainable, mask)
    assert row.fixed_mask or len(masks) > 1


# What is sent


@EVERY
@BOTH
def test_an_update_holds_what_the_method_sends_to_the_entry(name, cohort):
    row, method, cohort = row_of(name, cohort)
    layout = cohort.layout
    for round in (1, 2):
        for state in ready(name, cohort, more=round - 1):
            update = method.update(cohort, state, 5)
            assert (update.members, update.round) == ((state.device,), 5)
            assert (np.diff(update.coordinates) > 0).all()
            assert update.values.dtype == np.float32
            assert np.isin(head_of(layout), update.coordinates).all()
            ab = update.coordinates[update.coordinates < layout.part_head.start]
            of_a, of_b = ab < layout.size_a, ab >= layout.size_a
            if row.budget is not None:
                assert len(ab) == row.budget
            if row.sends in ("a", "b"):
                assert (of_a if row.sends == "a" else of_b).all()
            if row.sends == "turns":
                assert len(ab) == np.count_nonzero(of_b if round == 1 else of_a)
            if row.sends in ("mask", "ranks") and row.budget != len(ab):
                np.testing.assert_array_equal(update.coordinates, np.flatnonzero(state.trainable))
            if row.sends != "part" or kind(name) in ("rlora", "flasc"):
                np.testing.assert_array_equal(update.values, state.vector[update.coordinates])
            assert dict(method.exchange(cohort, state, 5)[0].__dict__)["members"] == update.members


@EVERY
@BOTH
def test_what_is_foreseen_is_of_the_size_of_what_is_sent(name, cohort):
    row, method, cohort = row_of(name, cohort)
    scope = method.scope(cohort.layout)
    states = [method.start(cohort, 0), *ready(name, cohort, count=2)]
    for state in states:
        expected = method.expected(cohort, state)
        assert (np.diff(expected) > 0).all()
        assert scope.start <= expected[0]
        assert expected[-1] < scope.stop or scope == cohort.layout.part_b  # and the head
        if row.budget is not None:
            head = cohort.layout.size - cohort.layout.part_head.start
            assert len(expected) == row.budget + head


@EVERY
@BOTH
def test_nothing_is_sent_before_there_is_something(name, cohort):
    row, method, cohort = row_of(name, cohort)
    state = method.start(cohort, 0)
    for training in range(row.trainings):
        assert method.update(cohort, state, 1) is None
        assert method.exchange(cohort, state, 1) == ()
        state = trained(method, state, training, cohort)
    assert method.update(cohort, state, 1) is not None


# What arrives


@EVERY
@BOTH
def test_what_has_not_arrived_or_has_no_weight_changes_nothing(name, cohort):
    _, method, cohort = row_of(name, cohort)
    states = clique(method, cohort, ready(name, cohort, more=1))
    states = [trained(method, state, 5, cohort) for state in states]
    updates = updates_of(method, cohort, states)
    nothing = arrival(updates[2], 0.25, updates[2].coordinates)
    some = arrival(updates[1], 0.25)
    with_it = method.merge(cohort, states[0], [some, nothing])
    assert_same(with_it, method.merge(cohort, states[0], [some]))
    assert with_it.members == (0, 1)
    fresh = ready(name, cohort)[0]
    for arrivals in ([], [nothing], [arrival(updates[1], 0.0)]):
        alone = method.merge(cohort, fresh, arrivals)
        np.testing.assert_array_equal(alone.vector, fresh.vector)
        assert alone.members == ((0, 1) if arrivals and arrivals != [nothing] else (0,))


@EVERY
@BOTH
def test_the_order_of_arrival_does_not_matter(name, cohort):
    _, method, cohort = row_of(name, cohort)
    states = ready(name, cohort)
    updates = updates_of(method, cohort, states)
    lost = updates[2].coordinates[::4]
    parts = zip(updates[1:], (0.1, 0.3, 0.2), ((), lost, ()), strict=True)
    arrivals = [arrival(u, w, missing) for u, w, missing in parts]
    far = [replace(updates[1], members=(1, 2)), *updates[2:]]
    merged = [method.merge(cohort, states[0], each) for each in itertools.permutations(arrivals)]
    stored = [
        method.store(states[0], [arrival(update) for update in each])
        for each in itertools.permutations(far)
    ]
    for found in (merged, stored):
        for state in found[1:]:
            assert_same(state, found[0])
            assert_same(method.inference(cohort, state), method.inference(cohort, found[0]))
    assert merged[0].members == (0, 1, 2, 3)


@pytest.mark.parametrize("name", [n for n in TABLE if TABLE[n].lost != "nothing"])
@settings(max_examples=8)
@given(seed=st.integers(0, 99))
def test_a_lost_coordinate_is_the_devices_own(name, seed):
    """As if it had arrived with the value that the receiver has."""
    row, method, cohort = row_of(name, COHORTS["headed"])
    states = clique(method, cohort, ready(name, cohort))
    states = [trained(method, state, seed, cohort) for state in states]
    rng = np.random.default_rng(seed)
    mine = own_values(row, cohort, states[0]).astype(np.float32)
    lossy, filled = [], []
    for update in updates_of(method, cohort, states)[1:]:
        lost = update.coordinates[rng.random(len(update.coordinates)) < 0.4]
        if row.sends == "mask":  # elsewhere the device has no own value
            lost = lost[states[0].trainable[lost]]
        values = np.where(
            np.isin(update.coordinates, lost), mine[update.coordinates], update.values
        )
        lossy.append(arrival(update, 0.2, lost))
        filled.append(arrival(replace(update, values=values), 0.2))
    one, other = (method.merge(cohort, states[0], them) for them in (lossy, filled))
    np.testing.assert_allclose(one.vector, other.vector, rtol=1e-5, atol=1e-6)
    if row.sends != "mask":
        found, wanted = (answer(method, cohort, state) for state in (one, other))
        assert error(found, wanted) < 1e-5


# Nothing leaks


@EVERY
@BOTH
def test_states_are_returned_and_never_changed(name, cohort):
    _, method, cohort = row_of(name, cohort)
    states = clique(method, cohort, ready(name, cohort))
    updates = updates_of(method, cohort, states)
    before = [snapshot(each) for each in (*states, *updates)]
    known = deepcopy([dict(state.known) for state in states])
    state = method.merge(cohort, states[0], [arrival(u, 0.2) for u in updates[1:]])
    state = method.store(state, [arrival(replace(updates[3], round=9))])
    for act in (method.exchange, method.update):
        act(cohort, state, 3)
    method.inference(cohort, state)
    method.expected(cohort, state)
    trained(method, read_only(state), 4, cohort)
    for each, copies in zip((*states, *updates), before, strict=True):
        for now, then in zip(arrays_of(each), copies, strict=True):
            np.testing.assert_array_equal(now, then)
    for each, keys in zip(states, known, strict=True):
        assert each.known.keys() == keys.keys()


@EVERY
@BOTH
def test_what_others_do_with_their_arrays_reaches_nobody(name, cohort):
    _, method, cohort = row_of(name, cohort)

    def merged(scribble):
        states = ready(name, cohort, count=3)
        updates = updates_of(method, cohort, states)
        if scribble:
            for array in (array for state in states[1:] for array in arrays_of(state)):
                array.setflags(write=True)
                array[...] = 1
        after = method.merge(cohort, states[0], [arrival(u, 0.3) for u in updates[1:]])
        for update in (*updates, *method.exchange(cohort, after, 2)):
            assert not np.shares_memory(update.values, after.vector)
        return after, method.inference(cohort, after)

    for one, other in zip(merged(False), merged(True), strict=True):
        assert_same(one, other)
    first, second = method.start(cohort, 0), method.start(cohort, 0)
    first.vector[:] = 5
    first.trainable[:] = False
    assert second.trainable.any()
    assert not (second.vector == 5).any()


@EVERY
def test_who_never_hears_of_a_device_has_nothing_of_it(name):
    """0 and 1 are a cluster, 2 and 3 another; device 3 is trained in two ways."""
    _, method, cohort = row_of(name, PLAIN)
    found = []
    for seed in (1, 2):
        states = ready(name, cohort)
        for round in range(2):
            states = [
                trained(method, state, seed if state.device == 3 else 1, cohort) for state in states
            ]
            updates = updates_of(method, cohort, states, round)
            for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
                states[i] = read_only(method.merge(cohort, states[i], [arrival(updates[j], 0.5)]))
        found.append(states)
    for device in (0, 1):
        assert_same(found[0][device], found[1][device])
    one, other = (answer(method, cohort, states[2]) for states in found)
    assert error(one, other) > 1e-3
