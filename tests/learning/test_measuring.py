"""What the learner measures of devices, against whole matrices and masks written out."""

import math

import numpy as np
import pytest
from learner_helpers import SITES, delivered, learner, train
from method_helpers import full

from cosim.learning.measuring import COLLISION_THRESHOLD, LayerDensities
from cosim.learning.methods._product_l1 import product_collision
from cosim.learning.methods.flora import Flora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal


def rounds(subject, count, devices=(0, 1)):
    for round in range(1, count + 1):
        train(subject, devices, round)
        sent = {(s, d): subject.update_payload(s, d, round) for s, d in ((0, 1), (1, 0))}
        for (_, dst), payload in sent.items():
            subject.merge(dst, [delivered(payload)], [0.5])


def test_before_the_first_merge_there_is_nothing_of_merges():
    subject, _ = learner(Lora(rank=2))
    subject.watch_merges(True)
    alone = subject.measure([[0], [1, 2]])
    assert set(alone) == {0, 1, 2}
    first = alone[0]
    assert math.isnan(first.orthogonality)
    assert math.isnan(first.product_collision)
    assert first.num_merged == 1
    for one in alone.values():
        numbers = one.aggregation_gap, one.covariance_term, one.kept_cosine, one.kept_fraction
        assert np.isnan(numbers).all()
        assert np.isnan(one.layers.sent_b).all()
    assert alone[1].orthogonality == pytest.approx(1)  # one A for all
    assert alone[1].product_collision == 0  # B is zero


def test_a_merge_is_measured_when_watched_and_stays_until_the_next():
    for watch in (True, False):
        subject, _ = learner(Lora(rank=2))
        subject.watch_merges(watch)
        rounds(subject, 1)
        subject.merge(0, [], [])  # to which nothing came: no merge
        found = [subject.measure([[0, 1]])[0] for _ in range(2)]
        assert (found[0].aggregation_gap > 0.01) is watch
        assert (found[0].covariance_term > 0.01) is watch
        np.testing.assert_equal(found[0].aggregation_gap, found[1].aggregation_gap)
        assert found[0].num_merged == 1  # by that empty one
        assert found[1].kept_cosine == pytest.approx(1)
        assert found[1].kept_fraction == pytest.approx(1)


def test_an_exact_merge_has_no_gap():
    subject, _ = learner(Flora(rank=2))
    subject.watch_merges(True)
    rounds(subject, 3)
    found = subject.measure([[0, 1]])
    assert found[0].aggregation_gap < 1e-6
    assert found[0].covariance_term > 0.01  # what averaging A and B apart would have lost


def test_kept_is_of_the_own_products_of_two_measurements():
    subject, _ = learner(Lora(rank=2))
    subject.measure([[0, 1]])
    rounds(subject, 1)
    subject.measure([[0, 1]])
    before = full(subject._method.own_adapter(subject._cohort, subject._states[0]))
    rounds(subject, 1)
    after = full(subject._method.own_adapter(subject._cohort, subject._states[0]))
    found = subject.measure([[0, 1]])[0]
    inner = sum(np.sum(x * y) for x, y in zip(before, after, strict=True))
    squares = [sum(np.sum(x * x) for x in each) for each in (before, after)]
    assert found.kept_fraction == pytest.approx(inner / squares[0])
    assert found.kept_cosine == pytest.approx(inner / math.sqrt(squares[0] * squares[1]))


def test_layers_are_those_of_the_masks():
    subject, _ = learner(SparseOrthogonal(rank=2, density=0.25, warmup_steps=1))
    subject.watch_merges(False)
    before = subject.measure([[0]])[0].layers
    assert before.names == tuple(site.name for site in SITES)
    np.testing.assert_array_equal(before.trained_a, 0)
    np.testing.assert_array_equal(before.trained_b, 1)  # the warm-up
    rounds(subject, 1)
    found: LayerDensities = subject.measure([[0]])[0].layers
    layout, mask = subject._cohort.layout, subject._states[0].trainable
    wanted = [np.mean(mask[where]) for where in layout.slices_b]
    np.testing.assert_allclose(found.trained_b, wanted)
    np.testing.assert_allclose(found.sent_b, wanted)
    np.testing.assert_array_equal(found.sent_a, 0)
    sizes = np.diff([layout.part_b.start, *(where.stop for where in layout.slices_b)])
    assert np.average(found.sent_b, weights=sizes) == pytest.approx(0.25, abs=1 / sizes.sum())


def test_a_residual_is_no_part_of_what_is_trained():
    subject, _ = learner(Flora(rank=2))
    rounds(subject, 2)
    layers = subject.measure([[0]])[0].layers
    np.testing.assert_array_equal(layers.trained_a, 1)
    np.testing.assert_array_equal(layers.trained_b, 1)


def test_collisions_of_products_are_looked_at_in_some_rows():
    subject, _ = learner(Lora(rank=2))
    rounds(subject, 1)
    own = [subject._method.own_adapter(subject._cohort, state) for state in subject._states[:2]]
    pairs = list(zip(*map(full, own), strict=True))
    large = [
        (np.abs(x) > COLLISION_THRESHOLD) & (np.abs(y) > COLLISION_THRESHOLD) for x, y in pairs
    ]
    entries = sum(each.size for each in large)
    whole = sum(map(np.count_nonzero, large)) / entries
    assert product_collision(own, COLLISION_THRESHOLD) == pytest.approx(whole, abs=1e-3)
    assert product_collision(own, COLLISION_THRESHOLD, 40) == product_collision(
        own, COLLISION_THRESHOLD
    )
    # Every second row of 24, and 12 of 40 evenly spread.
    rows = [each[np.arange(12) * len(each) // 12] for each in large]
    some = sum(r.mean() * e.size for r, e in zip(rows, large, strict=True)) / entries
    assert product_collision(own, COLLISION_THRESHOLD, 12) == pytest.approx(some, abs=2e-3)
    assert 0.5 < some < 1


def test_nothing_is_held_if_nobody_measures():
    subject, _ = learner(Lora(rank=2))
    rounds(subject, 2)
    measuring = subject._measuring
    held = (measuring._sent, measuring._before, measuring._losses)
    assert held == ({}, {}, {})
