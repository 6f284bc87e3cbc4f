"""The two engines are one: `packet_train` gives what `per_packet` gives, packet by packet."""

import math
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_helpers import LogisticError, Run, TableWorld, ThresholdError

from cosim.radio.rate.base import Rate
from cosim.radio.sharing.base import Division, SharingRule
from cosim.scenario.tree import Radio

NUM_DEVICES = 4
# Gains at which a 10 MHz band carries from nothing to some 100 Mbps at 0.2 W.
GAINS = [0.0, 1e-14, 1e-13, 1e-12, 4e-12, 1e-11]
BYTES = [0, 1, 90, 100, 101, 500, 1000, 5000, 20_000]
TIMES = [0.0, 0.001, 0.002, 0.0025, 0.004, 0.01, 0.02, 0.05]

gain = st.sampled_from(GAINS) | st.floats(1e-14, 1e-11)
pair = st.tuples(st.integers(0, NUM_DEVICES - 1), st.integers(0, NUM_DEVICES - 1)).filter(
    lambda ends: ends[0] != ends[1]
)
instant = st.sampled_from(TIMES) | st.floats(0.0, 0.06)


@st.composite
def channels(draw):
    """A table of gains for each pair, on one or different grids of time, or static."""
    pairs = [(i, j) for i in range(NUM_DEVICES) for j in range(i + 1, NUM_DEVICES)]
    gains = {ends: draw(st.lists(gain, min_size=1, max_size=6)) for ends in pairs}
    interval = st.sampled_from([0.001, 0.002, 0.0005, 0.003, math.inf])
    intervals = {ends: draw(interval) for ends in pairs}
    spacing_m = draw(st.sampled_from([0.0, 30.0, 3e5]))  # up to 3 ms of propagation
    ripple = draw(st.booleans())  # over the band, where that has resource blocks
    return {"gains": gains, "interval_s": intervals, "spacing_m": spacing_m, "ripple": ripple}


class TurnByTurn(SharingRule):
    """A toy that follows the channel: each slot to the best of SNR over a memory of turns."""

    exclusive: ClassVar[bool] = True
    slot_s: float | None = 0.001

    def divide(self, demand):
        memory = np.where(np.isnan(demand.memory), 1.0, demand.memory)
        snr = demand.snr()[:, :, 0]
        shares = np.zeros((demand.num_flows, demand.num_slots, 1))
        after = np.empty((demand.num_flows, demand.num_slots))
        for slot in range(demand.num_slots):
            best = int(np.argmax(snr[:, slot] / memory))
            shares[best, slot] = 1.0
            memory = 0.9 * memory
            memory[best] += 0.1 * demand.num_flows
            after[:, slot] = memory
        return Division(shares, after)


class Reported(Rate):
    """A toy whose rate goes by reports, and by acknowledgements with `outer_loop`."""

    outer_loop: bool = False

    @property
    def adapts(self):
        return self.outer_loop

    def bps(self, snr, bandwidth_hz, share, offset_db=0.0):
        return np.asarray(bandwidth_hz) * np.log2(1.0 + snr * 10.0 ** (-offset_db / 10.0))

    def next_offset_db(self, offset_db, num_acks, num_nacks):
        return min(max(offset_db + 0.5 * num_nacks - 0.1 * num_acks, -10.0), 10.0)

    def report_interval_s(self):
        return 0.0025


BLOCKS = [None, *({"spacing": "15 kHz", "count": count} for count in (5, 2))]
RULES = [
    "equal",
    TurnByTurn(),
    "weighted",
    {"kind": "max_rate", "slot": "1 ms"},
    {"kind": "max_min", "slot": "2 ms"},
    {"kind": "max_min", "slot": None},
    {"kind": "delay_equalising", "slot": "1.5 ms"},
    {"kind": "proportional_fair", "slot": "1 ms", "window": 5},
]


@st.composite
def settings_of_runs(draw):
    """Everything of a run but its engine."""
    error = draw(
        st.sampled_from(
            [
                "none",
                {"kind": "fixed", "rate": 0.1},
                {"kind": "fixed", "rate": 0.6},
                {"kind": "fixed", "rate": 1.0},
                LogisticError(),
                LogisticError(middle=30.0),
                ThresholdError(),
                "cqi_bler",
                {"kind": "finite_blocklength", "log_term": True},
            ]
        )
    )
    rate = draw(
        st.sampled_from(
            [
                "shannon",
                {"kind": "fixed", "rate": "8 Mbps"},
                {"kind": "shannon", "gap": "1 dB"},
                {"kind": "cqi", "report_period": "2 ms"},
                {"kind": "cqi", "report_period": "2.5 ms", "overhead": 0.2},
                {"kind": "cqi", "outer_loop": False},
                Reported(),
                Reported(outer_loop=True),
            ]
        )
    )
    mtu, header = draw(st.sampled_from([(100, 0), (140, 40), (1000, 0), (1500, 40)]))
    return {
        "error": error,
        "rate": rate,
        "seed": draw(st.integers(0, 2**16)),
        "combining": draw(st.sampled_from(["none", "chase"])),
        "is_base": draw(st.sampled_from([None, [False, True, False, True]])),
        "radios": [Radio(tx_power_dbm=draw(st.sampled_from([40.0, 23.0, 15.0])))] * NUM_DEVICES,
        "reach_m": draw(st.sampled_from([math.inf, 40.0])),
        "spectrum": {
            "domain": draw(st.sampled_from(["per_transmitter", "per_cluster", "per_cell"])),
            "interference": draw(st.sampled_from(["none", "co_channel"])),
            "duplex": draw(st.sampled_from(["full", "half"])),
            "rule": draw(st.sampled_from(RULES)),
            "resource_blocks": draw(st.sampled_from(BLOCKS)),
        },
        "parallel": draw(st.sampled_from([None, 1, 2])),
        "queue": draw(st.sampled_from([None, "3000 B"])),
        "ack_delay": draw(st.sampled_from(["0 s", "1 ms", "2.5 ms"])),
        "mtu": f"{mtu} B",
        "header": f"{header} B",
        "reliability": draw(st.sampled_from(["reliable", "best_effort"])),
        "max_attempts": draw(st.sampled_from([None, 1, 2, 3])),
        "deadline": f"{draw(st.sampled_from([0.003, 0.01, 0.0123, 0.5]))} s",
        "processing": f"{draw(st.sampled_from([0.0, 0.0015]))} s",
        "propagation": draw(st.booleans()),
    }


@st.composite
def scripts(draw):
    """What happens when: sends, aborts of transfers and devices, changes of clusters."""
    sends = draw(
        st.lists(
            st.tuples(
                instant,
                st.just("send"),
                pair,
                st.sampled_from(BYTES) | st.integers(0, 20_000),
                st.sampled_from([0.2, 0.05]),
            ),
            min_size=1,
            max_size=8,
        )
    )
    groups = st.lists(st.integers(1, NUM_DEVICES - 1), min_size=2, max_size=3, unique=True)
    casts = st.tuples(instant, st.just("multicast"), groups, st.sampled_from(BYTES))
    sends += draw(st.lists(casts, max_size=2))
    aborts = st.tuples(instant, st.just("abort"), st.integers(0, 7))
    leaves = st.tuples(instant, st.just("abort_device"), st.integers(0, NUM_DEVICES - 1))
    cluster = st.lists(st.integers(-1, 1), min_size=NUM_DEVICES, max_size=NUM_DEVICES)
    clusters = st.tuples(instant, st.just("set_clusters"), cluster)
    others = draw(st.lists(aborts | leaves | clusters, max_size=4))
    return sends + others


def play(engine, channel, setting, script, until_s=1.0):
    """Run a script on one engine and return the run."""
    is_selective = dict(setting.get("spectrum", {})).get(
        "resource_blocks"
    ) is not None and channel.get("ripple")
    table = {key: value for key, value in channel.items() if key != "ripple"}
    world = TableWorld(NUM_DEVICES, **table, is_selective=bool(is_selective))
    run = Run(world, engine=engine, **setting)
    transfers = []

    def act(what, *args):
        if what == "send":
            (src, dst), num_bytes, power_w = args
            transfers.append(run.send(src, dst, num_bytes, power_w))
        elif what == "multicast":
            transfers.extend(run.multicast(0, *args))
        elif what == "abort":
            if args[0] < len(transfers):
                run.network.abort(transfers[args[0]])
        else:
            getattr(run.network, what)(*args)

    for t_s, what, *args in script:
        run.at(t_s, lambda what=what, args=args: act(what, *args))
    run.env.run(until=until_s)
    run.network.finish()
    return run


def assert_same(one, other):
    """Both runs have the same records: times to 1e-9 relative, all else exactly."""

    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

    assert len(one.flows) == len(other.flows)
    for a, b in zip(
        sorted(one.flows, key=lambda flow: flow.flow),
        sorted(other.flows, key=lambda flow: flow.flow),
        strict=True,
    ):
        for name in (
            "flow",
            "src",
            "dst",
            "num_packets",
            "num_attempts",
            "num_lost",
            "num_unsent",
            "outcome",
        ):
            assert getattr(a, name) == getattr(b, name), (name, a, b)
        close([a.start_s, a.end_s], [b.start_s, b.end_s])
        np.testing.assert_allclose(a.energy_j, b.energy_j, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(a.air_bits, b.air_bits, rtol=1e-9, atol=1e-3)
        assert a.delivered_bits == b.delivered_bits
    packets = ({record.flow: record for record in run.packets} for run in (one, other))
    packets, expected = packets
    assert packets.keys() == expected.keys()
    for number, a in packets.items():
        b = expected[number]
        np.testing.assert_array_equal(a.packet, b.packet)
        np.testing.assert_array_equal(a.num_attempts, b.num_attempts)
        np.testing.assert_array_equal(a.delivered, b.delivered)
        close(a.start_s, b.start_s)
        close(a.end_s, b.end_s)
    assert one.deliveries.keys() == other.deliveries.keys()
    for number, (at_s, a) in one.deliveries.items():
        expected_at_s, b = other.deliveries[number]
        close([at_s, a.end_s], [expected_at_s, b.end_s])
        assert a.outcome == b.outcome
        np.testing.assert_array_equal(a.arrived, b.arrived)


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(channels(), settings_of_runs(), scripts())
def test_engines_agree(channel, setting, script):
    runs = [play(engine, channel, setting, script) for engine in ("packet_train", "per_packet")]
    assert_same(*runs)


FAST = {"kind": "fixed", "rate": "8 Mbps"}  # one byte per microsecond
TIES = {
    # A packet ends on the very sample at which the gain goes, and comes back.
    "silence": ([1e-9, 0.0, 0.0], [(0.0, "send", (0, 1), 5000, 0.2)]),
    # Flows start, end and are cut at the instants at which packets of others end.
    "shares": (
        [1e-9],
        [
            (0.0, "send", (0, 1), 4000, 0.2),
            (0.001, "send", (0, 2), 2000, 0.2),
            (0.003, "send", (0, 3), 1000, 0.2),
            (0.006, "abort", 0),
            (0.008, "send", (0, 1), 1000, 0.2),
        ],
    ),
    # Cut on a sample at which a packet ends.
    "cut": ([1e-9, 1e-13], [(0.1, "send", (0, 1), 5000, 0.2), (0.103, "abort", 0)]),
    # Complete on its deadline.
    "deadline": ([1e-9], [(0.7, "send", (0, 1), 10_000, 0.2), (0.1, "send", (0, 1), 9_000, 0.2)]),
    # The share changes within the rounding of the clock's start: half the band, twice the SNR.
    "start": ([1e-12], [(0.0, "send", (0, 1), 1000, 0.2), (1e-16, "send", (0, 2), 1000, 0.2)]),
    # A device leaves as its last transfer ends.
    "leave": ([1e-9], [(0.3, "send", (0, 1), 3000, 0.2), (0.303, "abort_device", 1)]),
}


@pytest.mark.parametrize("error", ["none", {"kind": "fixed", "rate": 0.5}, ThresholdError()])
@pytest.mark.parametrize("name", TIES)
def test_engines_agree_on_ties(name, error):
    gains, script = TIES[name]
    channel = {"gains": gains, "interval_s": 0.001}
    setting = {"rate": FAST, "error": error, "mtu": "1000 B", "header": "0 B", "deadline": "10 ms"}
    runs = [play(engine, channel, setting, script) for engine in ("packet_train", "per_packet")]
    assert_same(*runs)


@pytest.mark.parametrize("rule", ["equal", {"kind": "delay_equalising", "slot": "5 ms"}])
@pytest.mark.parametrize("setting", [{"spectrum": {"duplex": "half"}}, {"parallel": 1}])
@pytest.mark.parametrize("seed", range(4))
def test_engines_agree_on_who_goes_next_where_many_end_at_once(rule, setting, seed):
    """All to all, again and again: what is sent by one device ends at one instant."""
    rng = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(NUM_DEVICES) for j in range(i + 1, NUM_DEVICES)]
    channel = {"gains": {ends: rng.uniform(1e-13, 1e-11, 1).tolist() for ends in pairs}}
    script = [
        (t_s, "send", (i, j), 2500, 0.2)
        for t_s in (0.0, 0.05)
        for i in range(NUM_DEVICES)
        for j in range(NUM_DEVICES)
        if i != j
    ]
    spectrum = {"rule": rule} | setting.get("spectrum", {})
    options = {"max_attempts": 5, "error": {"kind": "fixed", "rate": 0.5}, "deadline": "2 s"}
    options |= setting | {"spectrum": spectrum, "radios": [Radio(tx_power_dbm=40.0)] * NUM_DEVICES}
    runs = [
        play(engine, channel, options, script, 5.0) for engine in ("packet_train", "per_packet")
    ]
    assert_same(*runs)
    assert any(packets.start_s[0] > 0.01 for packets in runs[0].packets)  # some did wait


@pytest.mark.parametrize(
    "error", [{"kind": "fixed", "rate": 0.1}, LogisticError(), LogisticError(middle=30.0)]
)
@pytest.mark.parametrize("seed", range(2))
def test_engines_agree_over_many_looks(error, seed):
    """Thousands of packets over thousands of samples, and shares that change on the way."""
    rng = np.random.default_rng(seed)
    channel = {
        "gains": {
            (i, j): 1e-12 * rng.exponential(size=5000)
            for i in range(NUM_DEVICES)
            for j in range(i + 1, NUM_DEVICES)
        },
        "interval_s": {(0, 1): 0.001, (0, 2): 0.0007, (0, 3): 0.003, (1, 2): 0.001, (1, 3): 0.01,
                       (2, 3): math.inf},
    }  # fmt: skip
    script = [
        (float(rng.uniform(0.0, 0.5)), "send", ends, int(rng.integers(100_000, 2_000_000)), 0.2)
        for ends in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (3, 2)]
    ]
    script += [(0.9, "abort", 2)]
    setting = {"rate": "shannon", "error": error, "deadline": "2 s"}
    runs = [
        play(engine, channel, setting, script, 5.0) for engine in ("packet_train", "per_packet")
    ]
    assert_same(*runs)
    assert sum(flow.num_packets for flow in runs[0].flows) > 2000
