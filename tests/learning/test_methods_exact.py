"""Methods that merge products, and what all methods must obey that merge in a way of their own."""

import numpy as np
import pytest
from method_helpers import (
    COHORTS,
    HEADED,
    PLAIN,
    answer,
    arrival,
    best,
    clique,
    devices,
    error,
    full,
    mean_of,
    trained,
    updates_of,
)
from method_table import METHODS
from pydantic import ValidationError

from cosim.learning.adapter import Adapter, Layout, concatenate
from cosim.learning.methods.flexlora import Flexlora
from cosim.learning.methods.flora import Flora

EVERY = pytest.mark.parametrize("name", METHODS)
BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)


# What all obey


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
