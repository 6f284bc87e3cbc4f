"""What each method claims in the table: exactness, error feedback, gateways, heads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from method_helpers import (
    COHORTS,
    PLAIN,
    answer,
    arrival,
    clique,
    devices,
    error,
    full,
    mean_of,
    own_b,
    products,
    read_only,
    total,
    trained,
    updates_of,
)
from method_table import TABLE, kind, ready, row_of, where

from cosim.learning.methods.base import Update

EVERY = pytest.mark.parametrize("name", TABLE)
BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)


@pytest.mark.parametrize("name", where(exact="mean") + where(exact="sum") + where(exact="own_b"))
@BOTH
def test_aggregation_is_exact_where_it_is_claimed(name, cohort):
    row, method, cohort = row_of(name, cohort)
    states = ready(name, cohort)
    for round in range(2 if row.exact == "mean" and row.agrees else 1):
        if round:
            states = [trained(method, state, round, cohort) for state in states]
        weight = 1.0 if row.exact == "sum" else 1 / 4
        wanted = mean_of(method, cohort, states, [weight] * 4)
        merged = clique(method, cohort, states, round)
        for before, after in zip(states, merged, strict=True):
            if row.exact == "own_b":
                wanted = [method.scale * each for each in own_b(cohort, before, states)]
            assert error(answer(method, cohort, after), wanted) < 1e-5
        states = merged


@pytest.mark.parametrize("name", where(exact=None))
def test_aggregation_is_not_exact_where_it_is_not_claimed(name):
    """The mean of the answers and what a clique has merged are apart, by percents and more."""
    _, method, cohort = row_of(name, PLAIN)
    states = ready(name, cohort, more=1)
    found = answer(method, cohort, clique(method, cohort, states)[0])
    for weight in (1.0, 1 / 4):
        assert error(found, mean_of(method, cohort, states, [weight] * 4)) > 0.01


@pytest.mark.parametrize("name", where(agrees=True))
@BOTH
def test_devices_of_a_clique_agree(name, cohort):
    _, method, cohort = row_of(name, cohort)
    states = ready(name, cohort)
    for round in range(3):
        states = clique(method, cohort, [trained(method, s, round, cohort) for s in states], round)
    first = method.inference(cohort, states[0])
    for state in states[1:]:
        adapter = method.inference(cohort, state)
        assert error(full(adapter), full(first)) < 1e-5
        heads = [each.vector[each.layout.part_head] for each in (adapter, first)]
        np.testing.assert_allclose(*heads, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in TABLE if TABLE[n].memory])
@settings(max_examples=15)
@given(seed=st.integers(0, 999))
def test_error_feedback_conserves_what_was_not_sent(name, seed):
    """sent + memory == movement + memory before, in every round."""
    row, method, cohort = row_of(name, COHORTS["headed"])

    def memory(state):
        held = getattr(state, row.memory)
        return np.zeros(cohort.layout.size) if held is None else held.astype(np.float64)

    states = devices(method, cohort, trainings=0)
    for round in range(3):
        after = [trained(method, state, seed + round, cohort) for state in states]
        merged = clique(method, cohort, after, round)
        for start, end, done in zip(states, after, merged, strict=True):
            base = method.counted_from(end) if row.lost == "sent" else start.vector
            if row.lost == "sent":
                movement = end.vector.astype(np.float64) - base
            else:  # the device itself has moved by what it sends alone
                moves = np.random.default_rng([seed + round, end.device])
                movement = (moves.standard_normal(cohort.layout.size) / 4).astype(np.float32)
            update = method.update(cohort, end, round)
            sent = np.zeros(cohort.layout.size)
            sent[update.coordinates] = update.values - base[update.coordinates].astype(np.float64)
            np.testing.assert_allclose(sent + memory(done), movement + memory(start), atol=1e-6)
            assert not memory(done)[update.coordinates].any()
            assert memory(done).any()
            assert not memory(done)[cohort.layout.part_head].any()
        states = merged


# Gateways


@EVERY
@BOTH
def test_gateways_tell_and_devices_answer_with_all_that_is_known(name, cohort):
    """Devices 0 and 1 are a cluster, 2 and 3 another; 1 and 2 are gateways."""
    row, method, cohort = row_of(name, cohort)
    states = ready(name, cohort)
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
    weights = {m: 1.0 if row.answers == "sum" else len(m) / 4 for m in by_members}
    found = method.inference(cohort, state)
    assert error(full(found), total([(weights[m], full(a)) for m, a in by_members.items()])) < 1e-5
    if kind(name) != "n_lora" or row.answers == "mean":
        weights = {m: len(m) / 4 for m in by_members}
    heads = [weights[m] * a.vector[a.layout.part_head] for m, a in by_members.items()]
    np.testing.assert_allclose(
        found.vector[found.layout.part_head], sum(heads), rtol=1e-5, atol=1e-6
    )


@EVERY
def test_no_device_counts_twice_after_a_new_plan(name):
    """Device 3 of another cluster is known; then a plan puts it into the own."""
    _, method, cohort = row_of(name, PLAIN)
    states = ready(name, cohort)
    known = method.store(states[0], [arrival(u) for u in method.exchange(cohort, states[3], 1)])
    assert list(known.known) == [(3,)]
    joined = method.merge(cohort, known, [arrival(method.update(cohort, states[3], 1), 0.5)])
    members = [m for expert in method.experts(cohort, joined) for m in expert.members]
    assert sorted(members) == [0, 3]
    own = method.exchange(cohort, states[0], 1)
    assert method.store(states[0], [arrival(u) for u in own]).known == {}
    if 1 in joined.members or joined.members == (0, 3):
        copy = Update((*joined.members, 9), 9, np.array([60]), np.ones(1, np.float32))
        assert (3, 9) not in method.store(joined, [arrival(copy)]).known


@EVERY
def test_the_head_is_averaged(name):
    row, method, cohort = row_of(name, COHORTS["headed"])
    states = ready(name, cohort)
    update = method.update(cohort, states[1], 1)
    merged = method.merge(cohort, states[0], [arrival(update, 0.25)])
    head = cohort.layout.part_head
    own, other = states[0].vector[head], states[1].vector[head]
    apart = row.exact == "sum" or name.endswith(("apart", "normalised"))
    if kind(name) == "hetlora" and method.sense == "published":
        norms = [sum(np.sum(p**2) for p in products(cohort.layout, s.vector)) for s in states[:2]]
        share = 0.25 * norms[1] ** 0.5 / (0.25 * norms[1] ** 0.5 + 0.75 * norms[0] ** 0.5)
    else:
        step = getattr(method, "gossip_step", 1.0)
        share = 0.0 if apart else 0.25 * step
    np.testing.assert_allclose(
        merged.vector[head], (1 - share) * own + share * other, rtol=1e-5, atol=1e-6
    )
