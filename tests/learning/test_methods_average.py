"""What each method that averages claims for itself."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from method_helpers import (
    COHORTS,
    HEADED,
    PLAIN,
    arrival,
    clique,
    devices,
    products,
    read_only,
    trained,
    updates_of,
)
from method_table import METHODS

from cosim.learning.adapter import Adapter, Layout, Site
from cosim.learning.methods import _product_l1
from cosim.learning.methods._average import average
from cosim.learning.methods._draw import gaussian_a
from cosim.learning.methods._product_l1 import ProductL1, product_collision
from cosim.learning.methods.base import Arrival, Update
from cosim.learning.methods.dec_lora import DecLora
from cosim.learning.methods.n_lora import NLora
from cosim.learning.methods.rolora import Rolora

BOTH = pytest.mark.parametrize("cohort", COHORTS.values(), ids=COHORTS)
LAYOUT = PLAIN.layout
PLAINLY = ["lora", "ilora", "dec_lora", "n_lora average", "ffa_lora", "fedsa_lora", "rolora"]
PLAINLY += ["rolora both", "hetlora p3", "rlora", "flasc", "flasc feedback"]
A, B = LAYOUT.part_a, LAYOUT.part_b


def mean_of_products(layout, vectors):
    by_device = [products(layout, vector) for vector in vectors]
    return [sum(site) / len(vectors) for site in zip(*by_device, strict=True)]


def gap(layout, vectors, merged):
    """||mean(B_i A_i) - merged product||_F."""
    pairs = zip(mean_of_products(layout, vectors), products(layout, merged), strict=True)
    return math.sqrt(sum(float(np.sum((one - other) ** 2)) for one, other in pairs))


# Averages


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


@pytest.mark.parametrize("name", PLAINLY)
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


# Exactness


@pytest.mark.parametrize("name", ["ilora", "lora", "dec_lora", "n_lora average"])
def test_averaging_both_factors_leaves_their_covariance(name):
    """mean(B_i A_i) - mean(B) mean(A) = mean((B_i - mean B)(A_i - mean A))."""
    method = METHODS[name]
    states = devices(method, PLAIN, trainings=2)
    merged = clique(method, PLAIN, states, 1)[0].vector
    centred = [state.vector - merged for state in states]
    covariance = mean_of_products(LAYOUT, centred)
    found = gap(LAYOUT, [state.vector for state in states], merged)
    assert found == pytest.approx(math.sqrt(sum(float(np.sum(c**2)) for c in covariance)), rel=1e-4)
    assert found > 1


def test_ffa_lora_sends_half_and_answers_at_its_own_rank():
    method = METHODS["ffa_lora"]
    states = devices(method, HEADED)
    update = method.update(HEADED, states[0], 1)
    np.testing.assert_array_equal(
        update.coordinates, np.arange(HEADED.layout.size_a, HEADED.layout.size)
    )
    known = method.store(states[0], [arrival(u) for u in method.exchange(HEADED, states[1], 1)])
    assert method.inference(HEADED, known).layout.rank == 4


# RoLoRA


@BOTH
def test_rolora_averages_exactly_while_both_factors_learn(cohort):
    method, layout = METHODS["rolora"], cohort.layout
    states = devices(method, cohort, trainings=0)
    for round in range(1, 6):
        start = states[0].vector.copy()
        states = [trained(method, state, round, cohort) for state in states]
        turn, other = (layout.part_b, layout.part_a)[:: 1 if round % 2 else -1]
        for state in states:
            np.testing.assert_array_equal(state.vector[other], start[other])
            assert (state.vector[turn] != start[turn]).all()
            sent = method.update(cohort, state, round).coordinates
            expected = np.r_[np.arange(layout.size)[turn], np.arange(layout.size)[layout.part_head]]
            np.testing.assert_array_equal(sent, expected)
        before = [state.vector for state in states]
        states = clique(method, cohort, states, round)
        assert gap(layout, before, states[0].vector) < 1e-4


def test_rolora_comes_into_step_by_the_updates_that_arrive():
    method = METHODS["rolora"]
    ahead = devices(method, PLAIN, count=1, trainings=2)[0]  # its next is of round 3: B
    late = read_only(method.start(PLAIN, 1))
    late = trained(method, late, 0, PLAIN)  # B, while others train A in round 2
    assert late.trainable[A].all()
    update = method.update(PLAIN, ahead, 2)
    assert update.coordinates[-1] < LAYOUT.size_a
    merged = method.merge(PLAIN, late, [arrival(update, 0.5)])
    assert merged.trainable[B].all()
    assert not merged.trainable[A].any()
    np.testing.assert_array_equal(merged.vector[B], late.vector[B])  # nobody else sent B
    mean = (late.vector[A] + ahead.vector[A]) / 2
    np.testing.assert_allclose(merged.vector[A], mean, rtol=1e-6, atol=1e-7)
    unheard = method.merge(PLAIN, late, [arrival(update, 0.5, update.coordinates)])
    assert unheard.trainable[A].all()


def test_rolora_is_not_set_back_by_updates_that_come_late():
    method = METHODS["rolora"]
    state = devices(method, PLAIN, count=1, trainings=4)[0]
    old = method.update(PLAIN, devices(method, PLAIN, trainings=3)[1], 3)
    merged = method.merge(PLAIN, state, [arrival(old, 0.2)])
    np.testing.assert_array_equal(merged.trainable, state.trainable)


def test_rolora_sends_what_it_trained_even_if_the_turn_passed_meanwhile():
    method = METHODS["rolora"]
    state = devices(method, PLAIN, count=1, trainings=1)[0]  # begins to train A, of round 2
    _, trainable = method.training(PLAIN, state)
    other = method.update(PLAIN, devices(method, PLAIN, trainings=2)[1], 2)
    meanwhile = method.merge(PLAIN, state, [arrival(other, 0.5)])
    assert meanwhile.trainable[B].all()
    after = method.trained(PLAIN, meanwhile, meanwhile.vector + trainable.astype(np.float32))
    sent = method.update(PLAIN, after, 2).coordinates
    np.testing.assert_array_equal(sent, np.arange(LAYOUT.size_a))


def test_rolora_may_send_both_factors():
    state = devices(Rolora(rank=4, send="both"), PLAIN, trainings=2)[0]
    update = Rolora(rank=4, send="both").update(PLAIN, state, 2)
    np.testing.assert_array_equal(update.coordinates, np.arange(LAYOUT.size))


# Dec-LoRA


def test_dec_lora_mixes_with_the_papers_matrix():
    """Q = I - 2 L / (3 lambda_max(L)) on a ring of four, for which Metropolis gives 1/3."""
    ring = np.array([[2, -1, 0, -1], [-1, 2, -1, 0], [0, -1, 2, -1], [-1, 0, -1, 2]])
    step = 2 * (2 + 1) / (3 * np.linalg.eigvalsh(ring).max())
    mixing = np.eye(4) - 2 * ring / (3 * np.linalg.eigvalsh(ring).max())
    method = DecLora(rank=4, gossip_step=step)
    states = devices(method, PLAIN)
    sent = [method.update(PLAIN, state, 1) for state in states]
    stacked = np.array([state.vector for state in states])
    merged = np.array(
        [
            method.merge(
                PLAIN, state, [arrival(sent[(i + 1) % 4], 1 / 3), arrival(sent[i - 1], 1 / 3)]
            ).vector
            for i, state in enumerate(states)
        ]
    )
    np.testing.assert_allclose(merged, mixing @ stacked, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(merged.mean(axis=0), stacked.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_dec_lora_starts_from_one_gaussian_a():
    states = devices(DecLora(rank=4), PLAIN, trainings=0)
    for state in states:
        np.testing.assert_array_equal(state.vector[A], gaussian_a(PLAIN, None))
        assert not state.vector[B].any()


# N-LoRA


@pytest.mark.parametrize("entries", [1, 100, 2**20])
def test_product_l1_is_the_norm_and_has_its_gradient(monkeypatch, entries):
    monkeypatch.setattr(_product_l1, "_ENTRIES", entries)
    rng = np.random.default_rng(3)
    a = torch.tensor(rng.standard_normal((3, 4, 7)), requires_grad=True)
    b = torch.tensor(rng.standard_normal((3, 5, 4)), requires_grad=True)
    scale = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    plain = 0.1 * scale * (b @ a).abs().sum((1, 2))
    found = ProductL1(0.1).of_site(a, b, scale)
    torch.testing.assert_close(found, plain)
    expected = torch.autograd.grad(plain.sum(), (a, b))
    torch.testing.assert_close(torch.autograd.grad(found.sum(), (a, b)), expected)


def test_product_l1_of_zero_has_no_gradient():
    a = torch.ones(1, 2, 3, requires_grad=True)
    b = torch.zeros(1, 4, 2, requires_grad=True)
    value = ProductL1(1.0).of_site(a, b, torch.ones(1))
    grad_a, grad_b = torch.autograd.grad(value.sum(), (a, b))
    assert value.item() == 0
    assert not grad_a.any()
    assert not grad_b.any()


def test_penalties_of_one_weight_are_one():
    assert NLora(l1=0.5).penalty() == ProductL1(0.5)
    assert hash(NLora(l1=0.5).penalty()) == hash(ProductL1(0.5))
    assert METHODS["lora"].penalty() is None


@pytest.mark.parametrize("entries", [1, 7, 2**20])
def test_collision_of_products_by_hand(monkeypatch, entries):
    monkeypatch.setattr(_product_l1, "_ENTRIES", entries)
    layout = Layout((Site("one", 3, 2),), rank=1)
    # B A scaled by 2: rows [2 0 -4; 0 0 0] and [0 0 1; 0 0 .5]: large at 3 and 1 of 6 entries.
    first = Adapter(layout, np.array([1, 0, -2, 1, 0], np.float32), 2.0)
    second = Adapter(layout, np.array([0, 0, 1, 0.5, 0.25], np.float32), 2.0)
    assert product_collision([first, second], 0.1) == 1 / 6
    assert product_collision([first, second], 1.0) == 0
    assert product_collision([second, second], 0.4) == 2 / 6
    assert product_collision([first], 0.1) == 0


def test_n_lora_sends_no_sum_in_the_name_of_others():
    """A device that has not trained keeps what it was sent, and has no adapter of its own."""
    method = METHODS["n_lora"]
    states = devices(method, PLAIN)
    update = method.update(PLAIN, states[1], 1)
    keeper = method.merge(PLAIN, method.start(PLAIN, 0), [arrival(update, 1.0)])
    assert method.update(PLAIN, keeper, 1) is None
    (told,) = method.exchange(PLAIN, keeper, 1)
    assert told.members == (1,)
    np.testing.assert_array_equal(told.values, update.values)
