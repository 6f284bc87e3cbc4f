"""The inbox: the same as decoding each time, and what it keeps is bounded."""

from dataclasses import replace

import numpy as np
import pytest
from learner_helpers import SITES, delivered, learner, train

from cosim.learning.adapter import Layout
from cosim.learning.methods.lora import Lora
from cosim.learning.payload import inbox as module
from cosim.learning.payload.codec import decode
from cosim.learning.payload.inbox import Inbox

SIZE = Layout(SITES, 2).size


@pytest.fixture
def payloads():
    subject, _ = learner(Lora(rank=2))
    train(subject, range(3), 0)
    return [subject.update_payload(device, (device + 1) % 3, 0) for device in range(3)]


@pytest.fixture
def decodings(monkeypatch):
    calls = []

    def counted(body, *rest, **keys):
        calls.append(body)
        return decode(body, *rest, **keys)

    monkeypatch.setattr(module, "decode", counted)
    return calls


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for number, update in expected.items():
        np.testing.assert_array_equal(found[number].coordinates, update.coordinates)
        np.testing.assert_array_equal(found[number].values, update.values)


def test_what_several_receivers_got_is_decoded_once(payloads, decodings):
    subject = Inbox(SIZE)
    for payload in payloads:
        for dst in range(3):
            delivery = delivered(replace(payload, dst=dst))
            expected = decode(payload.body, payload.part_bytes, SIZE)
            assert_same(subject.arrived(delivery), expected)
            assert_same(subject.sent(delivery.payload), expected)
    assert len(decodings) == 3


def test_what_lost_packets_is_decoded_by_itself(payloads):
    subject, payload = Inbox(SIZE), payloads[0]
    lossy = delivered(payload)
    arrived = np.arange(payload.num_packets) % 2 == 0
    lossy = replace(lossy, arrived=arrived)
    expected = decode(payload.body, payload.part_bytes, SIZE, arrived)
    assert_same(subject.arrived(lossy), expected)
    assert expected[0].coordinates.size < subject.sent(payload)[0].coordinates.size


def test_what_is_kept_cannot_be_changed_and_is_bounded(payloads, decodings):
    one = decode(payloads[0].body, payloads[0].part_bytes, SIZE)[0]
    subject = Inbox(SIZE, most_bytes=2 * (one.coordinates.nbytes + one.values.nbytes))
    kept = subject.sent(payloads[0])[0]
    with pytest.raises(ValueError, match="read-only"):
        kept.values[0] = 1.0
    for payload in (payloads[1], payloads[0], payloads[2], payloads[1], payloads[0]):
        subject.sent(payload)
    # The third pushed out the first, which was decoded again at the end.
    assert len(decodings) == 4


def test_lists_that_the_receiver_holds_tell_bodies_apart(payloads, decodings):
    subject = Inbox(SIZE)
    subject.sent(payloads[0])
    subject.sent(replace(payloads[0], lists={7: np.arange(3)}))
    assert len(decodings) == 2


def test_an_older_round_of_a_sender_is_not_kept_when_a_newer_one_has_come(payloads, decodings):
    subject, old = Inbox(SIZE), payloads[0]
    new = replace(old, round=old.round + 1, lists={7: np.arange(3)})
    for payload in (old, new, new, old, new):
        subject.sent(payload)
    # The old one once, the new one once, and the old one again when it came late.
    assert len(decodings) == 3
