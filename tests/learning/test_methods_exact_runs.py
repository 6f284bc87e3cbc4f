"""Methods that merge in a way of their own in the learner: lost packets, gateways, a real model."""

import math

import numpy as np
import pytest
from exact_helpers import METHODS
from learner_helpers import SITES, delivered, learner, setting, train

from cosim.learning.adapter import Layout
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.sentiment import Sentiment
from cosim.learning.tasks.syntax import Syntax
from cosim.plugin import find

LAYOUT = Layout(SITES, rank=4)
EVERY = pytest.mark.parametrize("name", METHODS)
KINDS = {
    "flora": {},
    "flexlora": {"ranks": (4, 8)},
    "fedlodrop": {"drop": 0.2},
    "fedlodrop-p3": {"sense": "p3"},
    "soft": {},
    "sparse_orthogonal": {"warmup_steps": 8, "mask_scope": "layer_wise", "importance": "d_in"},
    "lori": {"warmup_steps": 8, "agg": "none"},
}


def a_round(subject, round, losing):
    """All train; 0 and 1 are a cluster, 2 is alone; 1 and 2 are gateways, 1 tells 0."""

    def arrives(payload):
        rng = np.random.default_rng([payload.src, payload.dst, round])
        return delivered(payload, np.flatnonzero(rng.random(payload.num_packets) < losing))

    train(subject, range(3), round)
    sent = {(s, d): subject.update_payload(s, d, round) for s, d in ((0, 1), (1, 0))}
    for (_, dst), payload in sent.items():
        subject.merge(dst, [arrives(payload)], [0.5])
    subject.merge(2, [], [])
    for src, dst in ((1, 2), (2, 1)):
        delivery = arrives(subject.exchange_payload(src, dst, round))
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
    apart = []
    for device in range(3):
        state = lossy._states[device]
        found = lossy._answering(device).vector
        np.testing.assert_array_equal(found, again._answering(device).vector)
        assert np.isfinite(found).all()
        apart.append(not np.array_equal(found, clean._answering(device).vector))
        assert state.trainings == 4
        assert {m for each in state.known for m in each} | set(state.members) == {0, 1, 2}
    assert all(apart)
    assert len(lossy.evaluate([0, 1, 2])) == 6
    ranks = [job.adapter.layout.rank for job in pool.evaluated[0]]
    # FLoRA: device 0 and 1 have 4 + 24 ranks at most (4 merges of 8), and 4 of the other cluster
    assert max(ranks) == (4 + 24 + 4 if name == "flora" else 8)
    forecast = lossy.forecast()
    assert (forecast.update_bits > 0).all()
    assert ((forecast.density > 0) & (forecast.density <= 1)).all()
    assert 0 <= lossy.overlap([0, 1]) <= 1


@EVERY
def test_a_lost_packet_takes_nothing_but_its_coordinates_with_it(name):
    """All that arrived of a packet-wise lossy update is what the receiver reads."""
    subject, _ = learner(METHODS[name])
    train(subject, range(3), 1)
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
        sent = 8 * subject.update_payload(1, 0, round).num_bytes
        assert foreseen == pytest.approx(sent, rel=0.05)


@EVERY
def test_a_store_during_a_training_is_not_lost_on_it(name):
    """What a gateway stores while it trains: the state is another, the adapter in training not."""
    subject, _ = learner(METHODS[name])
    other, _ = learner(METHODS[name])
    for each in (subject, other):
        a_round(each, 1, 0.0)
        each.begin_training(1, 2)
    train(subject, [2], 2)
    subject.store(1, [delivered(subject.exchange_payload(2, 1, 2))])
    for each in (subject, other):
        each.end_training(1)
    np.testing.assert_allclose(
        subject._states[1].vector, other._states[1].vector, rtol=1e-5, atol=1e-6
    )
    assert (2,) in subject._states[1].known


# With the real model


@pytest.fixture(scope="module")
def tiny():
    return Stacked(threads=1).open(CausalLm(source="builtin:tiny"))


@pytest.mark.parametrize("name", KINDS)
def test_a_real_model_learns(tiny, name):
    """Two devices with a task each, that merge after every training."""
    method = find("method", name.partition("-")[0])(**KINDS[name])
    asked = setting(method, 2, "float16", 1460, (Sentiment(), Syntax()), steps=8, batch=8, lr=5e-3)
    subject = AdapterLearner(asked, tiny)
    losses = []
    for round in range(1, 6):
        losses.append([report.loss for report in train(subject, range(2), round)])
        sent = {(s, d): subject.update_payload(s, d, round) for s, d in ((0, 1), (1, 0))}
        for (_, dst), payload in sent.items():
            if payload is not None:  # LoRI sends nothing of its warm-up
                subject.merge(dst, [delivered(payload)], [0.5])
    assert np.mean(losses[-1]) < np.mean(losses[0]) - 0.02
    rows = subject.evaluate([0, 1])
    assert all(0 <= row.accuracy <= 1 and math.isfinite(row.loss) for row in rows)
