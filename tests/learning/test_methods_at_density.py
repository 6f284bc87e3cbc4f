"""`Method.at_density`: how much is sent is what was asked for, and what is kept back fits to it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from method_helpers import COHORTS, NUM_AB, NUM_B, PLAIN, arrival, devices, trained

from cosim.learning.methods.fedlodrop import Fedlodrop
from cosim.learning.methods.flasc import Flasc
from cosim.learning.methods.hetlora import Hetlora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.lori import Lori
from cosim.learning.methods.rlora import Rlora
from cosim.learning.methods.soft import Soft
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal

TAKING = {
    "soft": Soft(),
    "flasc": Flasc(),
    "rlora": Rlora(),
    "fedlodrop": Fedlodrop(sense="p3"),
}
MASKED = {"sparse_orthogonal": SparseOrthogonal(), "lori": Lori(restart=False)}


@pytest.mark.parametrize("density", [0.05, 0.3, np.float64(0.7), 1.0])
@pytest.mark.parametrize("name", TAKING)
def test_updates_hold_what_was_asked_for(name, density):
    for cohort in COHORTS.values():
        method = TAKING[name].at_density(density)
        (state,) = devices(method, cohort, count=1)
        head = cohort.layout.size - NUM_AB
        sent = len(method.update(cohort, state, 1).coordinates)
        assert sent == math.ceil(round(density * NUM_AB, 6)) + head
        assert len(method.expected(cohort, state)) == sent


@pytest.mark.parametrize("density", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("name", MASKED)
def test_masks_are_fixed_at_the_density_of_the_first_training(name, density):
    method = MASKED[name].at_density(density)
    (state,) = devices(method, PLAIN, count=1)
    budget = math.ceil(round(density * NUM_B, 6))
    assert len(method.update(PLAIN, state, 1).coordinates) == budget
    later = method.at_density(0.9)
    state = trained(later, state, 5, PLAIN)
    assert len(later.update(PLAIN, state, 2).coordinates) == budget


def test_hetlora_sends_whole_ranks_and_at_least_one():
    method = Hetlora(sense="p3", rank=4)
    assert [method.at_density(d).ranks_of(0) for d in (0.01, 0.25, 0.6, 1.0)] == [1, 1, 2, 4]
    for rank in range(1, 200):
        method = Hetlora(sense="p3", rank=rank, density=1.0)
        assert method.at_density(0.001).ranks_of(0) == 1


def test_nothing_else_changes():
    method = Soft(rank=5, orthogonality=0.3)
    assert method.at_density(0.25) == replace_drop(method, 0.75)


def replace_drop(method, drop):
    return method.model_copy(update={"drop": drop})


@pytest.mark.parametrize(
    "method", [Lora(), Fedlodrop(), Hetlora(), Fedlodrop(sense="published")], ids=repr
)
def test_methods_that_send_all_take_none(method):
    assert not method.takes_density
    with pytest.raises(ValueError, match="expected a method that takes a density"):
        method.at_density(0.5)
    assert all(each.takes_density for each in (*TAKING.values(), *MASKED.values()))


def test_with_a_new_density_nothing_that_was_not_sent_is_lost():
    """SOFT's client sends a tenth, hears nothing, trains at another density: v = sent + memory."""
    cohort = replace(PLAIN, servers=frozenset({3}))
    first, second = Soft().at_density(0.1), Soft().at_density(0.6)
    (start,) = (first.start(cohort, device) for device in (0,))
    one = trained(first, start, 1, cohort)
    sent = first.update(cohort, one, 1)
    two = trained(second, one, 2, cohort)
    kept = one.vector - start.vector
    kept[sent.coordinates] = 0
    np.testing.assert_allclose(two.memory, kept, atol=1e-7)


def test_late_arrivals_do_not_change_what_was_sent():
    first, second = Soft().at_density(0.1), Soft().at_density(0.6)
    start, other = (first.start(PLAIN, device) for device in (0, 1))
    one = trained(first, start, 1, PLAIN)
    theirs = first.update(PLAIN, trained(first, other, 1, PLAIN), 1)
    sent = first.update(PLAIN, one, 1)
    merged = second.merge(PLAIN, one, [arrival(theirs, 0.5)])
    kept = one.vector - start.vector
    kept[sent.coordinates] = 0
    np.testing.assert_allclose(merged.memory, kept, atol=1e-7)
