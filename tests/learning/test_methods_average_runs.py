"""Methods that average in the learner: lost packets, gateways, and a real model."""

import math

import numpy as np
import pytest
from average_helpers import METHODS, MIX
from learner_helpers import SITES, delivered, learner, setting, train

from cosim.learning.adapter import Adapter, Layout
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.methods._product_l1 import product_collision
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.sentiment import Sentiment
from cosim.learning.tasks.syntax import Syntax
from cosim.plugin import find

LAYOUT = Layout(SITES, rank=4)
EVERY = pytest.mark.parametrize("name", METHODS)
KINDS = (
    "ffa_lora", "rolora", "fedsa_lora", "dec_lora", "n_lora", "rlora", "flasc", "ilora", "hetlora",
)  # fmt: skip


def vectors(subject):
    return [subject._states[device].vector.copy() for device in range(3)]


def a_round(subject, round, lost):
    """All train; 0 and 1 are a cluster, 2 is alone; 1 and 2 are gateways, 1 tells 0.

    `lost` says which of so many packets of a transfer are lost.
    """
    train(subject, range(3), round)
    sent = {(s, d): subject.update_payload(s, d, round) for s, d in ((0, 1), (1, 0))}
    for (src, dst), payload in sent.items():
        missing = lost(src, round, payload.num_packets)
        subject.merge(dst, [delivered(payload, missing)], [0.5])
    subject.merge(2, [], [])
    for src, dst in ((1, 2), (2, 1)):
        payload = subject.exchange_payload(src, dst, round)
        delivery = delivered(payload, lost(src, round, payload.num_packets))
        subject.store(dst, [delivery])
        if dst == 1:
            onward = subject.spread_payload(1, 0, round, [delivery])
            subject.store(0, [delivered(onward)])
    return sent


def none_lost(src, round, count):
    return ()


def some_lost(src, round, count):
    return np.flatnonzero(np.random.default_rng([src, round]).random(count) < 0.3)


@EVERY
def test_rounds_with_lost_packets(name):
    lossy, pool = learner(METHODS[name])
    again, _ = learner(METHODS[name])
    clean, _ = learner(METHODS[name])
    for round in range(1, 5):
        a_round(lossy, round, some_lost)
        a_round(again, round, some_lost)
        a_round(clean, round, none_lost)
    different = 0
    for device in range(3):
        state = lossy._states[device]
        np.testing.assert_array_equal(state.vector, again._states[device].vector)
        different += not np.array_equal(state.vector, clean._states[device].vector)
        assert np.isfinite(state.vector).all()
        assert state.trainings == 4
        members = {m for each in state.known for m in each} | set(state.members)
        assert members == {0, 1, 2}
    assert different >= (0 if name == "n_lora-sum" else 2)
    rows = lossy.evaluate([0, 1, 2])
    assert len(rows) == 6
    ranks = [job.adapter.layout.rank for job in pool.evaluated[0]]
    product_is_one = name in ("ffa_lora", "fedsa_lora")
    assert set(ranks) == ({4} if product_is_one else {12} if name == "n_lora-sum" else {8})
    forecast = lossy.forecast()
    assert (forecast.update_bits > 0).all()
    assert ((forecast.density > 0) & (forecast.density <= 1)).all()
    assert 0 <= lossy.overlap([0, 1]) <= 1


@pytest.mark.parametrize("name", MIX)
def test_a_lost_packet_takes_exactly_its_coordinates_with_it(name):
    before, after = [], []
    for whole in (True, False):
        subject, _ = learner(METHODS[name])
        train(subject, range(3), 1)
        before.append(vectors(subject)[1])
        payload = subject.update_payload(0, 1, 1)
        missing = () if whole else (payload.num_packets - 1,)
        sent = subject._method.update(subject._cohort, subject._states[0], 1)
        subject.merge(1, [delivered(payload, missing)], [0.5])
        after.append(vectors(subject)[1])
    np.testing.assert_array_equal(*before)
    changed = np.flatnonzero(after[0] != after[1])
    assert 0 < len(changed) < len(sent.coordinates)
    assert np.isin(changed, sent.coordinates).all()
    np.testing.assert_array_equal(after[1][changed], before[0][changed])


@EVERY
def test_forecast_is_the_size_of_the_next_update(name):
    """Where coordinates are still to be chosen, their codes may take a bit more or less."""
    subject, _ = learner(METHODS[name], segment_bytes=1460)
    for round in range(1, 4):
        foreseen = subject.forecast().update_bits[1]
        train(subject, range(3), round)
        sent = 8 * subject.update_payload(1, 0, round).num_bytes
        assert foreseen == pytest.approx(sent, rel=0.05)


@pytest.mark.parametrize("name", METHODS)
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
    expected = np.random.default_rng([0, 2]).standard_normal(LAYOUT.size) * trainable
    if waiting is not None:
        moved, expected = moved + subject._states[0].waiting, expected + waiting
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)


# With the real model


@pytest.fixture(scope="module")
def tiny():
    return Stacked(threads=1).open(CausalLm(source="builtin:tiny"))


def short_run(pool, method, rounds=3):
    """Two devices with a task each, that merge after every training: learner and losses."""
    asked = setting(method, 2, "float16", 1460, (Sentiment(), Syntax()), steps=8, batch=8, lr=5e-3)
    subject = AdapterLearner(asked, pool)
    losses = []
    for round in range(1, rounds + 1):
        losses.append([report.loss for report in train(subject, range(2), round)])
        sent = {(s, d): subject.update_payload(s, d, round) for s, d in ((0, 1), (1, 0))}
        for (_, dst), payload in sent.items():
            subject.merge(dst, [delivered(payload)], [0.5])
    return subject, losses


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_model_learns(tiny, kind):
    subject, losses = short_run(tiny, find("method", kind)())
    assert np.mean(losses[-1]) < np.mean(losses[0]) - 0.03
    rows = subject.evaluate([0, 1])
    assert all(0 <= row.accuracy <= 1 and math.isfinite(row.loss) for row in rows)


def test_n_lora_collides_less(tiny):
    """Entries above 0.01, of products in which one in five is so large without the penalty."""
    rates = []
    for l1 in (1e-9, 1e-5):
        subject, _ = short_run(tiny, find("method", "n_lora")(l1=l1))
        layout = subject._cohort.layout
        own = [Adapter(layout, subject._states[device].vector, 2.0) for device in (0, 1)]
        rates.append(product_collision(own, 1e-2))
    assert rates[1] < rates[0] / 2
