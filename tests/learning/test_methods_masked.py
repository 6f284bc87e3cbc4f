"""Masks layer by layer, heads outside masks, and options of sparse_orthogonal and lori."""

from dataclasses import replace

import numpy as np
import pytest
from method_helpers import HEADED, PLAIN, answer, arrival, clique, devices, trained, updates_of

from cosim.learning.adapter import Layout, Site
from cosim.learning.errors import LearningError
from cosim.learning.methods._apportion import budget_of
from cosim.learning.methods._draw import gaussian_a
from cosim.learning.methods.lori import Lori
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal

THREE = Layout((Site("a", 8, 10), Site("b", 4, 20), Site("c", 16, 10)), rank=2)  # B: 20, 40, 20
RANKED = replace(PLAIN, layout=THREE, effective_ranks=(2.0, 1.0, 4.0))


def warmed(method, cohort, device=0):
    return trained(method, method.start(cohort, device), 1, cohort)


def counts_of(method, cohort):
    mask = warmed(method, cohort).trainable
    return [int(np.count_nonzero(mask[where])) for where in cohort.layout.slices_b]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        # in proportion to n_l I_l^g, of 16 entries: 20 x 2, 40 x 1, 20 x 4
        ({"density": 0.2}, [4, 4, 8]),
        ({"density": 0.2, "exponent": 0.0}, [4, 8, 4]),
        ({"density": 0.2, "exponent": 2.0}, [3, 1, 12]),  # 80, 40, 320: 2.9, 1.45, 11.6
        ({"density": 0.2, "importance": "d_in"}, [4, 4, 8]),  # 160, 160, 320
        # of 60: 15, 15, 30 > 20, so 40 are left for the first two: 20, 20
        ({"density": 0.75}, [20, 20, 20]),
        ({"density": 1.0}, [20, 40, 20]),
    ],
)
@pytest.mark.parametrize("kind", [SparseOrthogonal, Lori])
def test_layers_have_the_density_of_their_inputs_rank(kind, keys, expected):
    method = kind(rank=2, mask_scope="layer_wise", **keys)
    assert counts_of(method, RANKED) == expected
    assert sum(expected) == budget_of(method.density, 80)
    assert len(method.expected(RANKED, method.start(RANKED, 0))) == sum(expected)


def test_within_a_layer_the_largest_are_kept():
    method = SparseOrthogonal(rank=2, density=0.2, mask_scope="layer_wise")
    before = method.start(RANKED, 0)
    vector = before.vector.copy()
    vector[THREE.part_b] = np.random.default_rng(3).standard_normal(80)
    after = method.trained(RANKED, before, vector)
    for where, count in zip(THREE.slices_b, (4, 4, 8), strict=True):
        order = np.argsort(-np.abs(vector[where]), kind="stable")[:count]
        np.testing.assert_array_equal(np.flatnonzero(after.trainable[where]), np.sort(order))


def test_layers_need_measured_ranks_or_the_proxy():
    method = SparseOrthogonal(rank=2, mask_scope="layer_wise")
    with pytest.raises(LearningError, match=r"does not measure; use importance: d_in"):
        warmed(method, replace(RANKED, effective_ranks=None))
    warmed(
        SparseOrthogonal(rank=2, mask_scope="layer_wise", importance="d_in"),
        replace(RANKED, effective_ranks=None),
    )


def test_the_literal_indicator_keeps_the_largest_signed_values():
    method = SparseOrthogonal(rank=2, density=0.25, keep="signed")
    before = method.start(RANKED, 0)
    vector = before.vector.copy()
    vector[THREE.part_b] = np.arange(80) - 60
    after = method.trained(RANKED, before, vector)
    assert np.flatnonzero(after.trainable[THREE.part_b]).tolist() == list(range(60, 80))


def test_literal_a_is_standard_normal():
    literal = SparseOrthogonal(rank=2, orthogonal="literal").frozen_a(RANKED, 1)
    resolved = gaussian_a(RANKED, 1)
    for site, each in enumerate(THREE.sites):
        np.testing.assert_allclose(
            THREE.a(literal, site), THREE.a(resolved, site) * np.sqrt(each.d_in), rtol=1e-6
        )


MASKED = {
    "count": SparseOrthogonal(rank=4, density=0.25),
    "mean": SparseOrthogonal(rank=4, density=0.25, agg="mean"),
    "sum": SparseOrthogonal(rank=4, density=0.25, agg="sum"),
    "linear": SparseOrthogonal(rank=4, density=0.25, combine="linear"),
    "normalised": SparseOrthogonal(rank=4, density=0.25, alpha="normalised"),
    "lori": Lori(rank=4, density=0.25, restart=False),
}


@pytest.mark.parametrize("name", MASKED)
def test_the_head_is_outside_the_mask_always_trained_sent_and_averaged(name):
    method, layout = MASKED[name], HEADED.layout
    head = layout.part_head
    states = devices(method, HEADED, trainings=2)
    for state in states:
        assert method.start(HEADED, 0).trainable[head].all()
        assert state.trainable[head].all()
        assert np.count_nonzero(state.trainable[layout.part_b]) == 24  # a quarter of 96
        update = method.update(HEADED, state, 1)
        assert len(update.coordinates) == len(method.expected(HEADED, state)) == 24 + 18
    assert len(method.expected(HEADED, method.start(HEADED, 0))) == 24 + 18
    assert method.scope(layout) == layout.part_b
    mean = np.mean([state.vector[head] for state in states], axis=0)
    for state in clique(method, HEADED, states):
        np.testing.assert_allclose(state.vector[head], mean, rtol=1e-5, atol=1e-6)


def test_lori_restarts_b_and_not_the_head():
    method, layout = Lori(rank=4, density=0.25), HEADED.layout
    before = method.start(HEADED, 0)
    vector = np.ones(layout.size, np.float32)
    vector[layout.part_a] = before.vector[layout.part_a]
    after = method.trained(HEADED, before, vector)
    assert not after.vector[layout.part_b].any()
    assert (after.vector[layout.part_head] == 1).all()


def test_a_server_without_a_mask_keeps_what_arrives_and_answers_with_its_sum():
    method = MASKED["count"]
    server, *clients = devices(method, PLAIN, trainings=0)
    clients = [trained(method, client, 0, PLAIN) for client in clients]
    arrivals = [arrival(u, 1 / 3) for u in updates_of(method, PLAIN, clients)]
    merged = method.merge(PLAIN, server, arrivals)
    found = answer(method, PLAIN, merged)
    answers = [answer(method, PLAIN, client) for client in clients]
    for site in range(2):
        np.testing.assert_allclose(found[site], sum(a[site] for a in answers), atol=1e-5)
