"""The network by hand: every number here can be worked out on paper."""

import math

import numpy as np
import pytest
from network_helpers import Run, TableWorld, ThresholdError

from cosim.boundary import Payload
from cosim.radio.sharing.base import Division, SharingRule
from cosim.sim.check import InvariantError, Invariants

FAST = {"kind": "fixed", "rate": "8 Mbps"}  # one byte per microsecond
NO_HEADER = {"mtu": "1000 B", "header": "0 B"}
BOTH = pytest.mark.parametrize("engine", ["packet_train", "per_packet"])


def steady(num_devices=4, **kwargs):
    """A world whose links never change."""
    return TableWorld(num_devices, [1e-9], **kwargs)


def flow(run, number):
    return next(record for record in run.flows if record.flow == number)


@BOTH
def test_one_transfer_on_a_fixed_link(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.at(0.5, lambda: run.send(0, 1, 2500, power_w=0.5))
    run.env.run()
    record = flow(run, 0)
    assert (record.num_packets, record.num_attempts, record.num_lost) == (3, 3, 0)
    assert record.outcome == "delivered"
    assert record.start_s == 0.5
    assert record.end_s == pytest.approx(0.5025, rel=1e-12)
    assert record.energy_j == pytest.approx(0.5 * 0.0025, rel=1e-9)
    assert record.payload_bits == record.delivered_bits == 20_000.0
    assert record.air_bits == pytest.approx(20_000.0)
    (packets,) = run.packets
    np.testing.assert_allclose(packets.start_s, [0.5, 0.501, 0.502])
    np.testing.assert_allclose(packets.end_s, [0.501, 0.502, 0.5025])
    at_s, delivery = run.deliveries[0]
    assert at_s == pytest.approx(record.end_s)
    assert delivery.arrived.tolist() == [True] * 3


@BOTH
def test_headers_take_time_and_carry_nothing(engine):
    run = Run(steady(), engine=engine, rate=FAST, mtu="1000 B", header="200 B")
    run.send(0, 1, 1000)  # 800 + 200 bytes, each with a header of 200
    run.env.run()
    assert flow(run, 0).end_s == pytest.approx(1400e-6)
    assert flow(run, 0).air_bits == pytest.approx(11_200)
    assert flow(run, 0).delivered_bits == 8000


@BOTH
def test_flows_of_one_transmitter_share_its_band_by_who_is_active_now(engine):
    """Processor sharing: 1000 B and 2000 B together take 2 ms and 3 ms."""
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.send(0, 1, 1000)
    run.send(0, 2, 2000)
    run.send(3, 2, 1000)  # another transmitter has a band of its own
    run.env.run()
    ends = [flow(run, number).end_s for number in range(3)]
    np.testing.assert_allclose(ends, [0.002, 0.003, 0.001], rtol=1e-9)


@BOTH
def test_a_later_flow_halves_the_share_from_its_start(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.send(0, 1, 3000)
    run.at(0.001, lambda: run.send(0, 2, 500))
    run.env.run()
    # 1000 B alone, then both at half rate for 1 ms, then 1500 B alone.
    np.testing.assert_allclose([flow(run, 1).end_s, flow(run, 0).end_s], [0.002, 0.0035])
    packets = run.packets[-1]
    np.testing.assert_allclose(packets.end_s, [0.001, 0.0025, 0.0035])


@BOTH
def test_clusters_share_one_band_and_flows_keep_the_one_they_started_in(engine):
    run = Run(steady(), engine=engine, rate=FAST, spectrum={"domain": "per_cluster"}, **NO_HEADER)
    run.network.set_clusters([0, 0, 1, -1])
    run.send(0, 1, 1000)
    run.send(1, 0, 1000)  # the same cluster
    run.send(2, 3, 1000)
    run.send(3, 2, 1000)  # in no cluster: on its own
    run.at(0.0005, lambda: run.network.set_clusters([5, 6, 7, 8]))
    run.env.run()
    np.testing.assert_allclose([flow(run, n).end_s for n in range(4)], [0.002, 0.002, 0.001, 0.001])


@BOTH
def test_snr_is_over_the_share_of_the_band(engine):
    """Two flows each have half the band: W/2 log2(1 + p g / (N0 F W/2))."""
    run = Run(TableWorld(3, [1e-11]), engine=engine, **NO_HEADER)
    run.send(0, 1, 1000, power_w=0.2)
    run.send(0, 2, 1000, power_w=0.2)
    run.env.run()
    noise_w = 10 ** ((-174 + 9 - 30) / 10) * 5e6
    rate_bps = 5e6 * math.log2(1 + 0.2 * 1e-11 / noise_w)
    assert flow(run, 0).end_s == pytest.approx(8000 / rate_bps, rel=1e-9)


@BOTH
def test_gain_holds_between_samples(engine):
    """On for 1 ms, off for 2 ms, and so on: 2000 B take two on-times."""
    run = Run(TableWorld(2, [1e-9, 0.0, 0.0], 0.001), engine=engine, rate=FAST, **NO_HEADER)
    run.send(0, 1, 2000)
    run.env.run()
    assert flow(run, 0).end_s == pytest.approx(0.004, rel=1e-9)
    np.testing.assert_allclose(run.packets[0].start_s, [0.0, 0.001])
    np.testing.assert_allclose(run.packets[0].end_s, [0.001, 0.004])


@BOTH
def test_arrival_is_a_propagation_and_processing_delay_after_the_air(engine):
    world = steady(spacing_m=299_792.458)  # 1 ms of light from one to the next
    run = Run(world, engine=engine, rate=FAST, propagation=True, processing="2 ms", **NO_HEADER)
    run.send(0, 2, 1000, power_w=1.0)
    run.send(0, 1, 1000)
    run.env.run()
    # The share is free when the air is, not when the bits have arrived.
    assert flow(run, 0).end_s == pytest.approx(0.002 + 0.002 + 0.002)
    assert flow(run, 1).end_s == pytest.approx(0.002 + 0.001 + 0.002)
    assert flow(run, 0).energy_j == pytest.approx(0.002)
    end_s = pytest.approx(0.002)
    assert run.sends == [(0.0, 0, 1), (0.0, 0, 1), (end_s, 0, -1), (end_s, 0, -1)]


@BOTH
def test_empty_payload_arrives_after_the_delay_without_power(engine):
    run = Run(steady(), engine=engine, processing="3 ms", **NO_HEADER)
    run.send(0, 1, 0)
    run.env.run(until=1.0)
    record = flow(run, 0)
    assert (record.outcome, record.num_packets, record.num_attempts) == ("delivered", 0, 0)
    assert record.end_s == pytest.approx(0.003)
    assert record.energy_j == 0.0
    assert run.sends == []
    assert run.deliveries[0][1].arrived.shape == (0,)


@BOTH
def test_best_effort_sends_once_and_says_what_is_missing(engine):
    run = Run(steady(), engine=engine, error={"kind": "fixed", "rate": 0.5}, seed=3,
              rate=FAST, reliability="best_effort", **NO_HEADER)  # fmt: skip
    run.send(0, 1, 20_000)
    run.env.run()
    record, (_, delivery) = flow(run, 0), run.deliveries[0]
    assert record.outcome == delivery.outcome == "partial"
    assert record.num_attempts == 20
    assert 0 < record.num_lost < 20
    assert record.num_lost == (~delivery.arrived).sum()
    assert record.end_s == pytest.approx(0.02)
    assert record.delivered_bits == 8000 * delivery.arrived.sum()
    np.testing.assert_array_equal(run.packets[0].delivered, delivery.arrived)


@BOTH
def test_reliable_repeats_at_once_until_its_attempts_are_used_up(engine):
    run = Run(steady(), engine=engine, error={"kind": "fixed", "rate": 1.0}, rate=FAST,
              max_attempts=3, **NO_HEADER)  # fmt: skip
    run.send(0, 1, 1500)
    run.env.run()
    record = flow(run, 0)
    assert (record.outcome, record.num_attempts, record.num_lost) == ("partial", 6, 2)
    assert record.end_s == pytest.approx(0.0045)
    assert run.packets[0].num_attempts.tolist() == [3, 3]
    np.testing.assert_allclose(run.packets[0].start_s, [0.0, 0.003])
    np.testing.assert_allclose(run.packets[0].end_s, [0.003, 0.0045])


@BOTH
def test_default_cap_is_eight(engine):
    run = Run(steady(), engine=engine, error={"kind": "fixed", "rate": 1.0}, rate=FAST, **NO_HEADER)
    run.send(0, 1, 1000)
    run.env.run()
    assert flow(run, 0).num_attempts == 8


@BOTH
def test_losses_are_geometric(engine):
    """20,000 packets at 10 % loss: mean attempts 1/0.9 within 5 standard errors (1e-6)."""
    if engine == "per_packet":
        pytest.skip("the engines are equal; one suffices for a long transfer")
    run = Run(steady(), error={"kind": "fixed", "rate": 0.1}, rate=FAST, **NO_HEADER)
    run.send(0, 1, 20_000_000)
    run.env.run()
    n = 20_000
    spread = math.sqrt(0.1) / 0.9 / math.sqrt(n)
    assert abs(flow(run, 0).num_attempts / n - 1 / 0.9) < 5 * spread
    assert flow(run, 0).outcome == "delivered"


def test_losses_belong_to_the_transfer_whatever_else_happens():
    """The n-th transfer of a pair sees the same losses beside other traffic and other shares."""

    def attempts(*sends):
        run = Run(steady(), error={"kind": "fixed", "rate": 0.4}, rate=FAST, **NO_HEADER)
        for ends in sends:
            run.send(*ends, 30_000)
        run.env.run()
        return [
            packets.num_attempts.tolist()
            for packets in sorted(run.packets, key=lambda packets: packets.flow)
            if sends[packets.flow] == (0, 1)
        ]

    first, second = attempts((0, 1), (0, 1))
    assert first != second
    assert attempts((1, 0), (0, 2), (0, 1), (2, 3), (0, 1)) == [first, second]


@BOTH
def test_expiry_keeps_what_arrived_in_time(engine):
    run = Run(steady(), engine=engine, rate=FAST, deadline="2.5 ms", processing="0.6 ms",
              **NO_HEADER)  # fmt: skip
    run.send(0, 1, 5000, power_w=1.0)
    run.env.run()
    record, (at_s, delivery) = flow(run, 0), run.deliveries[0]
    # Packets left the air at 1 and 2 ms and arrived at 1.6 and 2.6 ms; the third is cut.
    assert record.outcome == "expired"
    assert at_s == record.end_s == 0.0025
    assert delivery.arrived.tolist() == [True, False, False, False, False]
    assert (record.num_attempts, record.num_lost, record.num_unsent) == (3, 2, 2)
    assert record.energy_j == pytest.approx(0.0025)
    assert record.air_bits == pytest.approx(20_000)
    assert run.packets[0].packet.tolist() == [0, 1, 2]
    np.testing.assert_allclose(run.packets[0].end_s, [0.001, 0.002, 0.0025])


@BOTH
@pytest.mark.parametrize(("processing", "outcome"), [("1 ms", "delivered"), ("1.1 ms", "expired")])
def test_arriving_on_the_deadline_is_in_time(engine, processing, outcome):
    run = Run(steady(), engine=engine, rate=FAST, deadline="3 ms", processing=processing,
              **NO_HEADER)  # fmt: skip
    run.at(0.7, lambda: run.send(0, 1, 2000))
    run.env.run()
    assert flow(run, 0).outcome == outcome
    assert flow(run, 0).end_s == pytest.approx(0.703, rel=1e-12)
    assert flow(run, 0).energy_j == pytest.approx(0.2 * 0.002)


@BOTH
def test_a_dead_link_waits_for_its_deadline_in_bounded_steps(engine):
    world = TableWorld(2, [0.0], 0.001)
    run = Run(world, engine=engine, deadline="2 s", **NO_HEADER)
    run.send(0, 1, 1000, power_w=1.0)
    run.env.run()
    record = flow(run, 0)
    assert (record.outcome, record.end_s) == ("expired", 2.0)
    assert (record.num_lost, record.num_unsent) == (0, 1)
    assert record.air_bits == 0.0
    assert record.energy_j == 0.0  # no bit went out


def test_a_dead_link_with_a_far_deadline_is_looked_at_only_as_far_as_time_goes():
    world = TableWorld(2, [0.0], 0.001)
    run = Run(world, deadline="1000000 s", packets=False, **NO_HEADER)
    run.send(0, 1, 1000)
    run.env.run(until=10.0)
    assert world.num_read < 40_000  # 10,000 samples have passed of 10^9
    run.network.finish()
    assert flow(run, 0).outcome == "aborted"


@BOTH
def test_abort_ends_at_once_and_frees_the_share(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    transfer = run.send(0, 1, 9000)
    run.send(0, 2, 2000)
    run.at(0.003, lambda: run.network.abort(transfer))
    run.at(0.004, lambda: run.network.abort(transfer))  # it has ended: nothing happens
    run.env.run()
    record, (at_s, delivery) = flow(run, 0), run.deliveries[0]
    assert record.outcome == delivery.outcome == "aborted"
    assert at_s == record.end_s == 0.003
    assert delivery.arrived.tolist() == [True] + [False] * 8
    assert record.num_attempts == 2
    assert flow(run, 1).end_s == pytest.approx(0.0035)
    assert len(run.flows) == 2


@BOTH
def test_abort_before_the_first_bit(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.network.abort(run.send(0, 1, 9000))
    run.env.run()
    record = flow(run, 0)
    assert (record.outcome, record.num_attempts) == ("aborted", 0)
    assert (record.num_lost, record.num_unsent) == (0, 9)
    assert record.end_s == record.energy_j == record.air_bits == 0.0


@BOTH
def test_a_device_that_leaves_takes_its_transfers_with_it(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    for ends in ((0, 1), (1, 2), (2, 3)):
        run.send(*ends, 5000)
    run.at(0.002, lambda: run.network.abort_device(1))
    run.env.run()
    assert [flow(run, n).outcome for n in range(3)] == ["aborted", "aborted", "delivered"]
    assert run.network.in_flight == ()


@BOTH
def test_abort_on_the_way_through_space(engine):
    world = steady(spacing_m=299_792.458)
    run = Run(world, engine=engine, rate=FAST, propagation=True, **NO_HEADER)
    transfer = run.send(0, 3, 2000, power_w=1.0)  # on the air until 2 ms, there at 4 and 5 ms
    run.at(0.0045, lambda: run.network.abort(transfer))
    run.env.run()
    assert flow(run, 0).outcome == "aborted"
    assert run.deliveries[0][1].arrived.tolist() == [True, False]
    assert flow(run, 0).energy_j == pytest.approx(0.002)
    assert flow(run, 0).num_attempts == 2


@BOTH
def test_finish_ends_what_is_in_flight(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.send(0, 1, 5000)
    run.env.run(until=0.0025)
    assert run.network.in_flight == (0,)
    run.network.finish()
    assert flow(run, 0).outcome == "aborted"
    assert (flow(run, 0).num_lost, flow(run, 0).num_unsent) == (1, 2)
    assert run.network.in_flight == ()


def test_events_do_not_pile_up():
    """Short transfers under long deadlines: the event queue stays as small as what is open."""
    run = Run(steady(), rate=FAST, deadline="3600 s", packets=False, **NO_HEADER)
    longest = 0

    def traffic():
        nonlocal longest
        for _ in range(300):
            yield run.send(0, 1, 3000)
            longest = max(longest, len(run.env._queue))

    run.env.run(until=run.env.process(traffic()))
    assert longest < 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"src": 4}, "expected src to be a device from 0 to 3, got 4"),
        ({"dst": -1}, "expected dst to be a device from 0 to 3, got -1"),
        ({"dst": 0}, "expected two devices, got a link of 0 to itself"),
        ({"segment_bytes": 999}, r"expected segments of 1000 bytes .* got 999"),
        ({"num_bytes": -1}, "expected a payload of at least 0 bytes, got -1"),
    ],
)
def test_payloads_that_make_no_sense(change, message):
    run = Run(steady(), **NO_HEADER)
    fields = {"kind": "update", "src": 0, "dst": 1, "round": 0, "num_bytes": 10}
    payload = Payload(**({"segment_bytes": 1000} | fields | change))
    with pytest.raises(ValueError, match=message):
        run.network.send(payload, 0.1)
    assert run.network.in_flight == ()


@pytest.mark.parametrize("power_w", [0.0, -1.0, math.nan, math.inf])
def test_power_must_be_positive(power_w):
    run = Run(steady(), **NO_HEADER)
    with pytest.raises(ValueError, match="expected a transmit power above 0 W and finite, got"):
        run.send(0, 1, 10, power_w=power_w)


def test_clusters_must_cover_all_devices():
    with pytest.raises(ValueError, match="expected a cluster for each of 4 devices"):
        Run(steady()).network.set_clusters([0, 1])


def test_an_mtu_without_room_is_refused():
    with pytest.raises(ValueError, match=r"raise transport\.mtu"):
        Run(steady(), mtu="40 B", header="40 B")


class Greedy(SharingRule):
    """A rule that gives everyone everything, which there is not."""

    def divide(self, demand):
        return Division(np.ones((demand.num_flows, 1, 1)))


class ByDemand(SharingRule):
    """Shares in proportion to what is still to be served; looks at the channel too."""

    def divide(self, demand):
        remaining = demand.remaining_bits()
        assert (demand.snr() > 0).all()
        return Division((remaining / remaining.sum())[:, np.newaxis, np.newaxis])


@BOTH
def test_a_rule_that_overbooks_the_band_is_caught(engine):
    run = Run(steady(), engine=engine, spectrum={"rule": Greedy()}, **NO_HEADER)
    run.send(0, 1, 1000)
    run.send(0, 2, 1000)
    with pytest.raises(InvariantError, match="sum to at most 1"):
        run.env.run()


@BOTH
def test_a_rule_sees_gains_and_what_is_left(engine):
    """Shares 1/3 and 2/3 end together; a third flow later divides 500 : 1000 : 1500."""
    run = Run(steady(), engine=engine, rate=FAST, spectrum={"rule": ByDemand()}, **NO_HEADER)
    run.send(0, 1, 1000)
    run.send(0, 2, 2000)
    run.at(0.0015, lambda: run.send(0, 3, 1500))
    run.env.run()
    ends = [flow(run, number).end_s for number in range(3)]
    np.testing.assert_allclose(ends, [0.0045, 0.0045, 0.0045], rtol=1e-9)


@BOTH
def test_loss_follows_the_snr_at_the_start_of_each_attempt(engine):
    """Good and bad milliseconds alternate; all that start in bad ones are lost."""
    error = ThresholdError(least_snr=10.0)
    world = TableWorld(2, [1e-5, 1e-14], 0.002)
    run = Run(world, engine=engine, rate=FAST, error=error, reliability="best_effort", **NO_HEADER)
    run.send(0, 1, 8000)
    run.env.run()
    assert run.deliveries[0][1].arrived.tolist() == [True, True, False, False] * 2


@BOTH
def test_a_short_last_packet_sees_the_snr_at_its_own_start(engine):
    """100 B start at 3 ms, in a bad millisecond: ten attempts fail, the one at 4 ms does not."""
    run = Run(TableWorld(2, [1e-5] * 3 + [1e-14], 0.001), engine=engine, rate=FAST,
              error=ThresholdError(least_snr=10.0), max_attempts=20, **NO_HEADER)  # fmt: skip
    run.send(0, 1, 3100)
    run.env.run()
    assert run.packets[0].num_attempts.tolist() == [1, 1, 1, 11]
    assert flow(run, 0).end_s == pytest.approx(0.0041)


@BOTH
@pytest.mark.parametrize("slot_s", [0.0007, 0.001, 0.0013])
def test_what_ends_at_one_instant_ends_there_however_the_clock_rounds(engine, slot_s):
    """Packets that last exactly one sample: on for 3, off for 5, from whichever multiple.

    The third packet ends as the channel goes silent. One transfer has three packets, which have
    all arrived a slot later, on its deadline; of another the fourth waits, and a new flow then
    halves its share.
    """
    rate = {"kind": "fixed", "rate": f"{8000.0 / slot_s!r} bps"}
    world = TableWorld(3, [1e-9] * 3 + [0.0] * 5, slot_s)
    for first in range(0, 800, 16):
        start_s = first * slot_s
        run = Run(world, engine=engine, rate=rate, deadline=f"{4 * slot_s!r} s",
                  processing=f"{slot_s!r} s", **NO_HEADER)  # fmt: skip
        run.at(start_s, lambda run=run: run.send(0, 1, 3000))
        run.env.run(until=start_s + 20 * slot_s)
        assert flow(run, 0).outcome == "delivered", first
        assert flow(run, 0).end_s == pytest.approx((first + 4) * slot_s, rel=1e-9)

        run = Run(world, engine=engine, rate=rate, **NO_HEADER)
        run.at(start_s, lambda run=run: run.send(0, 1, 4000))
        run.at((first + 3) * slot_s, lambda run=run: run.send(0, 2, 1000))
        run.env.run(until=start_s + 30 * slot_s)
        ends = first + np.array([1, 2, 3, 10])  # half a packet in each of slots 8 and 9
        packets = next(packets for packets in run.packets if packets.flow == 0)
        np.testing.assert_allclose(packets.end_s, ends * slot_s, rtol=1e-9)


def test_invariants_catch_contradictions():
    invariants = Invariants()
    invariants.time(1.0)
    with pytest.raises(InvariantError, match="time went back"):
        invariants.time(0.5)
    with pytest.raises(InvariantError, match="in order"):
        invariants.ordered(1.0, 3.0, 2.0)
    with pytest.raises(InvariantError, match="bits served"):
        invariants.bits(served=100.0, delivered=50.0, lost=10.0, in_flight=0.0)
    with pytest.raises(InvariantError, match="expected shares of 2 flows"):
        invariants.shares(np.ones((1, 1, 1)), 2)
    invariants.opened(0)
    with pytest.raises(InvariantError, match="was sent after"):
        invariants.opened(0)
    with pytest.raises(InvariantError, match="ended as 'vanished'"):
        invariants.closed(0, "vanished")
    with pytest.raises(InvariantError, match="no outcome"):
        invariants.finished()
    invariants.closed(0, "delivered")
    with pytest.raises(InvariantError, match="not open"):
        invariants.closed(0, "delivered")
    invariants.finished()
