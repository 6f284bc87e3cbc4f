"""Every method in the learner: lost packets, gateways, and a real model."""

import math

import numpy as np
import pytest
from learner_helpers import SITES, answer_of, delivered, learner, setting, train
from method_table import DIFFERENT, METHODS, TABLE

from cosim.learning.adapter import Adapter, Layout
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.methods._product_l1 import product_collision
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.sentiment import Sentiment
from cosim.learning.tasks.syntax import Syntax
from cosim.plugin import find, kinds

EVERY = pytest.mark.parametrize("name", DIFFERENT)
RANKS = {"ffa_lora": 4, "fedsa_lora": 4, "n_lora": 12, "flora": 4 + 24 + 4}
"""Of the answers of two clusters, where they are not 2 x 4 (for masks with `concat`: 3 x 4)."""


def layout_of(name):
    return Layout(SITES, METHODS[name].rank)


def vectors(subject):
    return [subject._states[device].vector.copy() for device in range(3)]


def a_round(subject, round, losing):
    """All train; 0 and 1 are a cluster, 2 is alone; 1 and 2 are gateways, 1 tells 0."""

    def arrives(payload):
        rng = np.random.default_rng([payload.src, payload.dst, round])
        return delivered(payload, np.flatnonzero(rng.random(payload.num_packets) < losing))

    train(subject, range(3), round)
    sent = {(s, d): subject.update_payload(s, d, round) for s, d in ((0, 1), (1, 0))}
    for (_, dst), payload in sent.items():
        subject.merge(dst, [arrives(payload)] if payload else [], [0.5] if payload else [])
    subject.merge(2, [], [])
    for src, dst in ((1, 2), (2, 1)):
        payload = subject.exchange_payload(src, dst, round)
        if payload is None:  # LoRI has nothing to tell of its warm-up
            continue
        delivery = arrives(payload)
        subject.store(dst, [delivery])
        if dst == 1:
            subject.store(0, [delivered(subject.spread_payload(1, 0, round, [delivery]))])


@EVERY
def test_rounds_with_lost_packets(name):
    (lossy, pool), (again, _), (clean, _) = (learner(METHODS[name]) for _ in range(3))
    for round in range(1, 5):
        a_round(lossy, round, 0.3)
        a_round(again, round, 0.3)
        a_round(clean, round, 0.0)
    for device in range(3):
        state = lossy._states[device]
        found = answer_of(lossy, device).vector
        np.testing.assert_array_equal(found, answer_of(again, device).vector)
        assert np.isfinite(found).all()
        assert not np.array_equal(found, answer_of(clean, device).vector)
        assert state.trainings == 4
        assert {m for each in state.known for m in each} | set(state.members) == {0, 1, 2}
    assert len(lossy.evaluate([0, 1, 2])) == 6
    row = TABLE[name]
    rank = RANKS.get(name, 8)
    if row.sends == "mask":
        rank = (2 if METHODS[name].combine == "linear" else 3) * METHODS[name].rank
    assert max(job.adapter.layout.rank for job in pool.evaluated[0]) == rank
    forecast = lossy.forecast()
    assert (forecast.update_bits > 0).all()
    assert ((forecast.density > 0) & (forecast.density <= 1)).all()
    assert 0 <= lossy.overlap([0, 1]) <= 1


@EVERY
def test_a_lost_packet_takes_exactly_its_coordinates_with_it(name):
    subject, _ = learner(METHODS[name])
    for round in range(1, 1 + TABLE[name].trainings):
        train(subject, range(3), round)
    payload = subject.update_payload(0, 1, 1)
    sent = subject._method.update(subject._cohort, subject._states[0], 1)
    (whole,) = subject._arrivals([delivered(payload)], [0.5])
    (part,) = subject._arrivals([delivered(payload, (payload.num_packets - 1,))], [0.5])
    np.testing.assert_array_equal(whole.update.coordinates, sent.coordinates)
    np.testing.assert_array_equal(part.sent, sent.coordinates)
    kept = len(part.update.coordinates)
    assert 0 < kept < len(sent.coordinates)
    np.testing.assert_array_equal(part.update.coordinates, sent.coordinates[:kept])
    np.testing.assert_array_equal(part.update.values, sent.values[:kept])
    subject.merge(1, [delivered(payload, (payload.num_packets - 1,))], [0.5])
    assert subject._states[1].members == (0, 1)


@EVERY
def test_forecast_is_the_size_of_the_next_update(name):
    """Where coordinates are still to be chosen, their codes may take a bit more or less."""
    subject, _ = learner(METHODS[name], segment_bytes=1460)
    for round in range(1, 4):
        foreseen = subject.forecast().update_bits[1]
        train(subject, range(3), round)
        payload = subject.update_payload(1, 0, round)
        if round >= TABLE[name].trainings:
            assert foreseen == pytest.approx(8 * payload.num_bytes, rel=0.05)


@pytest.mark.parametrize(
    "name",
    [
        "lora",
        "rolora",
        "fedsa_lora",
        "dec_lora lazy",
        "hetlora",
        "rlora",
        "flasc download",
        "flasc feedback",
        "sparse_orthogonal",
        "sparse_orthogonal linear",
    ],
)
def test_what_is_merged_during_a_training_is_not_lost(name):
    """The training's movement is added to what was merged, whatever the training began from."""
    subject, _ = learner(METHODS[name])
    train(subject, range(3), 1)
    waiting = getattr(subject._states[0], "waiting", None)
    subject.begin_training(0, 2)
    trainable = subject._states[0].trainable
    subject.merge(0, [delivered(subject.update_payload(1, 0, 1))], [0.5])
    merged = vectors(subject)[0]
    subject.end_training(0)
    moved = vectors(subject)[0] - merged
    expected = np.random.default_rng([0, 2]).standard_normal(layout_of(name).size) * trainable
    if waiting is not None:
        moved, expected = moved + subject._states[0].waiting, expected + waiting
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)


@EVERY
def test_a_store_during_a_training_is_not_lost_on_it(name):
    """What a gateway stores while it trains: the state is another, the adapter in training not."""
    subject, _ = learner(METHODS[name])
    other, _ = learner(METHODS[name])
    for each in (subject, other):
        a_round(each, 1, 0.0)
        a_round(each, 2, 0.0)
        each.begin_training(1, 3)
    train(subject, [2], 3)
    subject.store(1, [delivered(subject.exchange_payload(2, 1, 3))])
    for each in (subject, other):
        each.end_training(1)
    np.testing.assert_allclose(
        subject._states[1].vector, other._states[1].vector, rtol=1e-5, atol=1e-6
    )
    assert (2,) in subject._states[1].known


# With the real model

KEYS = {
    "flexlora": {"ranks": (4, 8)},
    "fedlodrop": {"drop": 0.2},
    "sparse_orthogonal": {"warmup_steps": 8, "mask_scope": "layer_wise"},
    "lori": {"warmup_steps": 8, "agg": "none"},
}


@pytest.fixture(scope="module")
def tiny():
    return Stacked(threads=1).open(CausalLm(source="builtin:tiny"))


def short_run(pool, method, rounds):
    """Two devices with a task each, that merge after every training: learner and losses."""
    asked = setting(method, 2, "float16", 1460, (Sentiment(), Syntax()), steps=8, batch=8, lr=5e-3)
    subject = AdapterLearner(asked, pool)
    losses = []
    for round in range(1, rounds + 1):
        losses.append([report.loss for report in train(subject, range(2), round)])
        sent = {(s, d): subject.update_payload(s, d, round) for s, d in ((0, 1), (1, 0))}
        for (_, dst), payload in sent.items():
            if payload is not None:  # LoRI sends nothing of its warm-up
                subject.merge(dst, [delivered(payload)], [0.5])
    return subject, losses


@pytest.mark.parametrize("each", kinds("method"))
def test_a_real_model_learns(tiny, each):
    rounds = 5 if each in ("lori", "flora", "fedlodrop", "sparse_orthogonal") else 3
    subject, losses = short_run(tiny, find("method", each)(**KEYS.get(each, {})), rounds)
    assert np.mean(losses[-1]) < np.mean(losses[0]) - 0.02
    rows = subject.evaluate([0, 1])
    assert all(0 <= row.accuracy <= 1 and math.isfinite(row.loss) for row in rows)


def test_n_lora_collides_less(tiny):
    """Entries above 0.01, of products in which one in five is so large without the penalty."""
    rates = []
    for l1 in (1e-9, 1e-5):
        subject, _ = short_run(tiny, find("method", "n_lora")(l1=l1), 3)
        layout = subject._cohort.layout
        own = [Adapter(layout, subject._states[device].vector, 2.0) for device in (0, 1)]
        rates.append(product_collision(own, 1e-2))
    assert rates[1] < rates[0] / 2
