import math

import numpy as np
import pytest
from learner_helpers import delivered, setting

from cosim.learning.methods.lora import Lora
from cosim.learning.pool.none import NonePool


def learner(**keys):
    return NonePool.model_validate(keys).learner(setting(Lora(), segment_bytes=1000))


def test_payloads_have_the_size_asked_for_and_no_body():
    subject = learner(payload="20 kbit")
    for payload in (subject.update_payload(0, 1, 3), subject.exchange_payload(0, 1, 3)):
        assert (payload.num_bytes, payload.num_packets, payload.body) == (2500, 3, b"")
        assert (payload.src, payload.dst, payload.round) == (0, 1, 3)
    assert subject.update_payload(0, 1, 3).kind == "update"
    assert subject.exchange_payload(0, 1, 3).kind == "exchange"
    assert (subject.forecast().update_bits == 20_000).all()


def test_no_payload_is_none():
    assert learner(payload="0 bit").update_payload(0, 1, 0) is None


def test_as_much_spreads_as_arrived():
    subject = learner(payload="20 kbit")
    whole = delivered(subject.exchange_payload(0, 1, 0))
    part = delivered(subject.exchange_payload(2, 1, 0), lost=[2])
    assert subject.spread_payload(1, 3, 0, [whole, part]).num_bytes == 2500 + 2000
    assert subject.spread_payload(1, 3, 0, []) is None


def test_nothing_is_learned():
    subject = learner(flops=5e9, density=0.25)
    work = subject.begin_training(1, 7)
    assert work == subject.forecast().work.taken(np.array(1))
    assert (work.flops, work.num_samples, work.batch_size) == (5e9, 12, 4)
    report = subject.end_training(1)
    assert (report.device, report.round, report.flops, report.density) == (1, 7, 5e9, 0.25)
    assert math.isnan(report.loss)
    assert subject.evaluate([0, 1]) == []
    subject.merge(0, [delivered(subject.update_payload(1, 0, 7))], [0.5])
    subject.store(0, [])


def test_overlap_is_that_of_random_masks():
    # n = 200,000 coordinates; 6 deviations of a fraction are below 6 sqrt(1 / 4n) = 0.0068, which
    # random masks exceed with probability below 1e-8.
    subject = learner(density=0.3)
    masks = np.random.default_rng(0).random((4, 200_000)) < 0.3
    assert abs(subject.overlap(range(4)) - np.mean(masks.sum(axis=0) > 1)) < 0.0068
    assert subject.overlap([1]) == pytest.approx(0)
    assert subject.overlap([]) == 0
