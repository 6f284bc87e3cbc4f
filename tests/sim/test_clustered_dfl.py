"""What a device aggregates at the end of a round, without a network or a model."""

from types import SimpleNamespace

import numpy as np
import pytest

from cosim.boundary import Delivery, Payload
from cosim.sim.protocols.clustered_dfl import ClusteredDfl


def update(src, round):
    payload = Payload("update", src, 0, round, 1, 1)
    return Delivery(payload, 0.0, 1.0, "delivered", np.ones(1, dtype=np.bool_))


def merged(protocol, inbox, round):
    """Return (src, round, weight) of all that device 0, linked with 1 and 2, aggregates."""
    links = SimpleNamespace(src=np.array([0, 1, 0, 2]), dst=np.array([1, 0, 2, 0]))
    found = []

    def merge(device, deliveries, weights, staleness):
        assert staleness == [round - delivery.payload.round for delivery in deliveries]
        if device == 0:
            parts = (delivery.payload for delivery in deliveries)
            found.extend((p.src, p.round, w) for p, w in zip(parts, weights, strict=True))

    sim = SimpleNamespace(
        plan=SimpleNamespace(links=links),
        groups=[None] * 3,
        training=set(),
        inbox=[list(inbox), [], []],
        alive_devices=lambda: [0, 1, 2],
        count_late=lambda delivery, detail: None,
        merge=merge,
    )
    protocol.aggregate(sim, round)
    assert sim.inbox == [[], [], []]
    return found


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_newest_update_of_a_sender_is_aggregated_whatever_arrived_last(order):
    inbox = [update(1, round) for round in order]
    assert merged(ClusteredDfl(late="stale"), inbox, round=2) == [(1, 2, 1 / 3)]


def test_a_late_update_weighs_less_by_its_age_or_is_dropped():
    inbox = [update(2, 1), update(1, 3)]
    assert merged(ClusteredDfl(late="stale", staleness=0.5), inbox, round=3) == [
        (1, 3, 1 / 3),
        (2, 1, 1 / 12),
    ]
    assert merged(ClusteredDfl(late="drop"), inbox, round=3) == [(1, 3, 1 / 3)]
