"""What a device aggregates at the end of a round, and how an exchange spreads in a cluster."""

from types import SimpleNamespace

import numpy as np
import pytest
from arithmetic_helpers import Arithmetic, adapters

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
        books=SimpleNamespace(late=lambda delivery, detail: None),
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


# An exchange spreads in the cluster that it comes to


EDGES = {
    "clique": [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
    "line": [(0, 1), (1, 2), (2, 3)],
    "star": [(0, 2), (1, 2), (2, 3)],
    "ring": [(0, 1), (1, 2), (2, 3), (3, 0)],
    "long ring": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)],
}
# The gateway is device 0, and the other cluster is device `size` alone. What each shape makes of
# it: transfers inside the cluster, and steps until the last has it.
SPREADS = {
    "clique": (3, 1),
    "line": (3, 3),
    "star": (3, 2),
    "ring": (4, 2),  # the opposite device has it from both sides
    "long ring": (5, 3),  # one of the two opposite devices tells the other, too
}


@pytest.mark.parametrize("shape", list(SPREADS))
def test_an_exchange_floods_the_cluster(run_network, tmp_path, shape):
    run, size = exchanged(run_network, tmp_path, EDGES[shape])
    num_inside, num_steps = SPREADS[shape]
    exchanges = run.flows[run.flows.kind == "exchange"]
    crossing = (exchanges.src == size) | (exchanges.dst == size)
    assert crossing.sum() == 2
    inside = exchanges[~crossing]
    assert len(inside) == num_inside
    assert set(inside.dst) == set(range(1, size))
    assert inside.air_bits.to_numpy() == pytest.approx(80_000)
    # Each step starts when the last has arrived; a device divides its 1 Mbps by whom it sends to.
    first_s = exchanges.start_s.min()
    assert exchanges[crossing].end_s.tolist() == pytest.approx([first_s + 0.08] * 2)
    starts_s = np.unique(inside.start_s.round(9))
    assert len(starts_s) == num_steps
    assert starts_s[0] == pytest.approx(first_s + 0.08)
    for row in inside.itertuples():
        at_once = ((inside.src == row.src) & (inside.start_s == row.start_s)).sum()
        assert row.end_s - row.start_s == pytest.approx(0.08 * at_once)
    assert run.rounds.t_s.iloc[-1] == pytest.approx(exchanges.end_s.max())


@pytest.mark.parametrize("shape", list(SPREADS))
def test_everybody_in_the_cluster_then_knows(run_network, tmp_path, shape):
    """On a line of four, the far end knows what was told to the gateway at the other."""
    pool = Arithmetic()
    exchanged(run_network, tmp_path, EDGES[shape], learning=adapters(pool))
    size = 1 + max(max(pair) for pair in EDGES[shape])
    for device in range(size):
        assert (size,) in pool.known()[device]
    told = pool.known()[size]
    assert len(told) == 1
    assert not set(range(size)).isdisjoint(*told)


def test_what_is_lost_on_the_way_does_not_spread(run_network, tmp_path):
    """Nothing gets over the first hop, so nothing is passed on."""
    lossy = {"error": {"kind": "fixed", "rate": 1.0}}
    run, _ = exchanged(run_network, tmp_path, EDGES["line"], link=lossy,
                          transport={"max_attempts": 1})  # fmt: skip
    exchanges = run.flows[run.flows.kind == "exchange"]
    assert len(exchanges) == 2
    assert (exchanges.outcome == "partial").all()


def exchanged(run_network, tmp_path, edges, **changes):
    """Run one round with an exchange between a cluster, device 0 its gateway, and one device."""
    size = 1 + max(max(pair) for pair in edges)
    (tmp_path / "edges.csv").write_text(
        "src,dst\n" + "".join(f"{a},{b}\n" for a, b in edges), encoding="utf-8"
    )
    # The others stand behind device 0.
    places = [(f"{-10 - device} m", "0 m") for device in range(size)]
    run = run_network(**{
        "devices": ({"mobility": {"kind": "static", "positions": (*places, ("40 m", "0 m"))}},),
        "data_root": str(tmp_path),
        "topology": {"planner": {"kind": "from_file", "file": "edges.csv"}},
        "protocol": {"kind": "clustered_dfl", "inner_rounds": 1},
        "duration": "1 round",
    } | changes)  # fmt: skip
    return run, size
