"""One transmission to several receivers, by hand: rate, losses, rows, and receivers that leave."""

import math
from dataclasses import replace

import numpy as np
import pytest
from network_helpers import BOTH, FAST, NO_HEADER, NOISE_W, Run, TableWorld, ThresholdError, steady

from cosim.scenario.tree import Radio

GOOD, BAD = 1e-9, 1e-16
ERROR = ThresholdError(least_snr=10.0)


def marked(**pairs):
    """A world of 1 ms samples from strings such as d01="gbb": good, bad, bad, and again."""
    gains = {
        (int(key[1]), int(key[2])): [GOOD if letter == "g" else BAD for letter in letters]
        for key, letters in pairs.items()
    }
    return TableWorld(4, gains, 0.001)


@BOTH
def test_the_rate_is_that_of_the_worst_receiver(engine):
    gains = {(0, 1): [4e-12], (0, 2): [1e-12], (0, 3): [9e-12]}
    run = Run(TableWorld(4, gains), engine=engine, **NO_HEADER)
    run.multicast(0, [1, 2, 3], 3000, power_w=0.2)
    run.env.run()
    end_s = 24_000 / (10e6 * math.log2(1 + 0.2 * 1e-12 / NOISE_W))
    np.testing.assert_allclose(run.ends_s(), [end_s] * 3, rtol=1e-9)


@BOTH
def test_each_receiver_loses_packets_of_its_own(engine):
    run = Run(marked(d01="ggb", d02="bgg"), engine=engine, rate=FAST, error=ERROR,
              reliability="best_effort", **NO_HEADER)  # fmt: skip
    run.multicast(0, [1, 2], 3000)
    run.env.run()
    assert run.outcomes() == ["partial", "partial"]
    assert run.deliveries[0][1].arrived.tolist() == [True, True, False]
    assert run.deliveries[1][1].arrived.tolist() == [False, True, True]
    assert [run.flow(n).num_lost for n in (0, 1)] == [1, 1]


@BOTH
def test_a_packet_is_sent_again_until_all_have_it(engine):
    run = Run(marked(d01="gbbg", d02="bggb"), engine=engine, rate=FAST, error=ERROR, **NO_HEADER)
    run.multicast(0, [1, 2], 2000, power_w=1.0)
    run.env.run()
    assert run.outcomes() == ["delivered", "delivered"]
    for number in (0, 1):
        record, packets = run.flow(number), run.packets_of(number)
        assert record.end_s == pytest.approx(0.004)
        assert record.num_attempts == 4
        assert packets.num_attempts.tolist() == [2, 2]
        assert packets.delivered.tolist() == [True, True]
        np.testing.assert_allclose(packets.end_s, [0.002, 0.004])
        # What one transmitter spends is split; what each receiver has is not.
        assert record.energy_j == pytest.approx(0.004 / 2)
        assert record.air_bits == pytest.approx(32_000 / 2)
        assert record.delivered_bits == record.payload_bits == 16_000


@BOTH
def test_one_that_never_hears_uses_up_the_attempts(engine):
    run = Run(marked(d01="g", d02="b"), engine=engine, rate=FAST, error=ERROR, max_attempts=3,
              **NO_HEADER)  # fmt: skip
    run.multicast(0, [1, 2], 2000)
    run.env.run()
    assert run.outcomes() == ["delivered", "partial"]
    assert [run.flow(n).num_attempts for n in (0, 1)] == [6, 6]
    np.testing.assert_allclose(run.ends_s(), [0.006, 0.006])  # both, as the transmission ends


@BOTH
def test_losses_at_different_receivers_are_independent(engine):
    """5,000 packets to two at 50 %: both have a quarter, within 5 standard errors (6e-7)."""
    run = Run(steady(), engine=engine, rate=FAST, error={"kind": "fixed", "rate": 0.5},
              reliability="best_effort", **NO_HEADER)  # fmt: skip
    run.multicast(0, [1, 2], 5_000_000)
    run.env.run()
    first, second = (run.deliveries[n][1].arrived for n in (0, 1))
    for count, mean in ((first.sum(), 0.5), (second.sum(), 0.5), ((first & second).sum(), 0.25)):
        assert abs(count / 5000 - mean) < 5 * math.sqrt(mean * (1 - mean) / 5000)


@BOTH
def test_the_farthest_receiver_sets_the_arrival(engine):
    world = steady(spacing_m=299_792.458)  # 1 ms of light from one to the next
    run = Run(world, engine=engine, rate=FAST, propagation=True, processing="1 ms", **NO_HEADER)
    run.multicast(0, [1, 3], 1000)
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.005, 0.005])


@BOTH
def test_an_empty_update_needs_no_air(engine):
    run = Run(steady(), engine=engine, rate=FAST, processing="1 ms", **NO_HEADER)
    run.multicast(0, [1, 2], 0)
    run.env.run()
    assert run.outcomes() == ["delivered", "delivered"]
    assert run.ends_s() == [0.001, 0.001]
    assert run.sends == run.receives == []


@BOTH
def test_all_receive_and_one_sends(engine):
    radios = [Radio(amplifier_efficiency=0.25, tx_power_dbm=30.0)] * 4
    run = Run(steady(), engine=engine, rate=FAST, radios=radios, **NO_HEADER)
    run.multicast(0, [1, 2], 2000, power_w=1.0)
    run.env.run()
    end_s = pytest.approx(0.002)
    assert run.sends == [(0.0, 0, 1), (end_s, 0, -1)]
    assert run.receives == [(0.0, 1, 1), (0.0, 2, 1), (end_s, 1, -1), (end_s, 2, -1)]
    assert sum(record.energy_j for record in run.flows) == pytest.approx(0.002 / 0.25)  # drawn


@BOTH
def test_one_that_leaves_in_flight_keeps_what_it_has(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    transfers = run.multicast(0, [1, 2, 3], 4000, power_w=3.0)
    run.at(0.0015, lambda: run.network.abort(transfers[1]))
    run.env.run()
    assert run.outcomes() == ["delivered", "aborted", "delivered"]
    gone, packets = run.flow(1), run.packets_of(1)
    assert run.deliveries[1][0] == gone.end_s == 0.0015
    assert run.deliveries[1][1].arrived.tolist() == [True, False, False, False]
    assert (gone.num_attempts, gone.num_lost, gone.num_unsent) == (2, 1, 2)
    assert gone.delivered_bits == 8000
    assert packets.num_attempts.tolist() == [1, 1]
    assert packets.delivered.tolist() == [True, False]
    np.testing.assert_allclose(packets.end_s, [0.001, 0.0015])
    # A third each until 1.5 ms, then a half each.
    energy_j = [run.flow(n).energy_j for n in range(3)]
    np.testing.assert_allclose(energy_j, [0.00525, 0.0015, 0.00525])
    np.testing.assert_allclose([run.flow(n).air_bits for n in range(3)], [14_000, 4000, 14_000])
    np.testing.assert_allclose(run.ends_s(), [0.004, 0.0015, 0.004])
    assert run.receives[3] == (0.0015, 2, -1)
    assert sorted(device for _, device, _ in run.receives[4:]) == [1, 3]


@BOTH
def test_one_that_leaves_with_packets_on_their_way(engine):
    run = Run(steady(5), engine=engine, rate=FAST, processing="2 ms", **NO_HEADER)
    transfers = run.multicast(0, [1, 2, 3, 4], 4000)
    run.at(0.0035, lambda: run.network.abort(transfers[0]))  # on the air until 4 ms
    run.at(0.0045, lambda: run.network.abort(transfers[1]))
    run.at(0.0065, lambda: run.network.abort(transfers[2]))  # it has ended
    run.env.run()
    arrived = [run.deliveries[n][1].arrived.tolist() for n in range(4)]
    assert arrived[0] == [True, False, False, False]  # left the air by 1.5 ms
    assert arrived[1] == [True, True, False, False]
    assert arrived[2] == arrived[3] == [True] * 4
    np.testing.assert_allclose(run.ends_s(), [0.0035, 0.0045, 0.006, 0.006])
    assert sum(flow.energy_j for flow in run.flows) == pytest.approx(0.2 * 0.004)


@BOTH
def test_the_last_one_to_leave_takes_the_transmission_with_it(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    first, second = run.multicast(0, [1, 2], 4000)
    run.send(0, 3, 2000)  # shares the band until then
    run.at(0.001, lambda: run.network.abort(first))
    run.at(0.002, lambda: run.network.abort(second))
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.001, 0.002, 0.003])
    assert run.outcomes() == ["aborted", "aborted", "delivered"]
    energy_j = [run.flow(n).energy_j for n in (0, 1)]
    np.testing.assert_allclose(energy_j, [0.2 * 0.0005, 0.2 * 0.0015])


@BOTH
@pytest.mark.parametrize("device", [0, 1])
def test_a_device_that_leaves(engine, device):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.multicast(0, [1, 2], 4000)
    run.at(0.002, lambda: run.network.abort_device(device))
    run.env.run()
    assert run.outcomes() == (["aborted", "aborted"] if device == 0 else ["aborted", "delivered"])
    assert sum(flow.energy_j for flow in run.flows) == pytest.approx(
        0.2 * (0.002 if device == 0 else 0.004)
    )


@BOTH
def test_who_leaves_as_the_transmission_ends_has_it(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.at(0.3, lambda: run.multicast(0, [1, 2], 3000))
    run.at(0.303, lambda: run.network.abort_device(1))
    run.env.run()
    assert run.outcomes() == ["delivered", "delivered"]


@BOTH
def test_one_that_leaves_while_they_wait_for_the_air(engine):
    run = Run(steady(), engine=engine, rate=FAST, parallel=1, **NO_HEADER)
    run.send(0, 3, 1000)
    first, _ = run.multicast(0, [1, 2], 1000)
    run.at(0.0005, lambda: run.network.abort(first))
    run.env.run()
    assert run.outcomes() == ["delivered", "aborted", "delivered"]
    np.testing.assert_allclose(run.ends_s(), [0.001, 0.0005, 0.002])
    np.testing.assert_allclose([run.flow(n).energy_j for n in (1, 2)], [0.0, 0.2 * 0.001])
    assert [device for _, device, _ in run.receives] == [3, 3, 2, 2]


# With acknowledgements after a delay


@BOTH
def test_rounds_carry_what_somebody_lacks(engine):
    """1 lacks the first packet, 2 the last; both are sent again, and each needs but one."""
    world = marked(d01="bggggggg", d02="ggbggggg")
    run = Run(world, engine=engine, rate=FAST, error=ERROR, ack_delay="1 ms", **NO_HEADER)
    run.multicast(0, [1, 2], 2500)
    run.env.run()
    assert run.outcomes() == ["delivered", "delivered"]
    assert run.packets_of(0).num_attempts.tolist() == [2, 1, 2]
    # 2.5 ms, 1 ms of waiting, 1000 B and 500 B.
    np.testing.assert_allclose(run.ends_s(), [0.005, 0.005])
    assert sum(flow.energy_j for flow in run.flows) == pytest.approx(0.2 * 0.004)


@BOTH
def test_a_round_is_not_held_up_by_one_that_is_gone(engine):
    """The slowest of three leaves while they wait: the next round goes at the others' rate."""
    gains = {(0, 1): [16e-12], (0, 2): [1e-12], (0, 3): [4e-12] * 2 + [9e-12] * 30}
    error = ThresholdError(least_snr=0.2 * 8e-12 / NOISE_W)
    run = Run(TableWorld(4, gains, 0.001), engine=engine, error=error, ack_delay="10 ms",
              **NO_HEADER)  # fmt: skip
    transfers = run.multicast(0, [1, 2, 3], 1000, power_w=0.2)
    run.at(0.005, lambda: run.network.abort(transfers[1]))
    run.env.run()

    def takes_s(gain):
        return 8000 / (10e6 * math.log2(1 + 0.2 * gain / NOISE_W))

    end_s = takes_s(1e-12) + 0.010 + takes_s(9e-12)
    assert run.outcomes() == ["delivered", "aborted", "delivered"]
    np.testing.assert_allclose(run.ends_s(), [end_s, 0.005, end_s], rtol=1e-9)
    assert [run.flow(n).num_attempts for n in range(3)] == [2, 1, 2]
    on_air = [(round(t, 4), device, change) for t, device, change in run.receives]
    again_s, over_s = round(takes_s(1e-12) + 0.010, 4), round(end_s, 4)
    assert on_air[6:] == [(again_s, 1, 1), (again_s, 3, 1), (over_s, 1, -1), (over_s, 3, -1)]


@BOTH
def test_when_only_those_that_left_lack_packets_the_others_are_done(engine):
    world = marked(d01="g", d02="b")
    run = Run(world, engine=engine, rate=FAST, error=ERROR, ack_delay="2 ms", **NO_HEADER)
    _, deaf = run.multicast(0, [1, 2], 2000)  # on the air until 2 ms, acknowledged at 4 ms
    run.at(0.003, lambda: run.network.abort(deaf))
    run.env.run()
    assert run.outcomes() == ["delivered", "aborted"]
    np.testing.assert_allclose(run.ends_s(), [0.003, 0.003])
    assert run.flow(0).num_attempts == 2
    assert sum(flow.energy_j for flow in run.flows) == pytest.approx(0.2 * 0.002)


@BOTH
def test_chase_combining_of_one_receiver_does_not_help_another(engine):
    least = 10.0
    gain = 0.6 * least * NOISE_W / 0.2  # two attempts make 12
    gains = {(0, 1): [gain], (0, 2): [3 * gain], (0, 3): [0.4 * gain]}  # 3 needs five
    run = Run(TableWorld(4, gains), engine=engine, rate=FAST, combining="chase", max_attempts=4,
              error=ThresholdError(least_snr=least), **NO_HEADER)  # fmt: skip
    run.multicast(0, [1, 2], 1000)
    run.env.run()
    run.multicast(0, [2, 3], 1000)
    run.env.run()
    assert [run.flow(n).num_attempts for n in range(4)] == [2, 2, 4, 4]
    assert run.outcomes() == ["delivered", "delivered", "delivered", "partial"]


# Mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"src": 3}, r"one source and size in a multicast \(device 0, 10 bytes\), got device 3"),
        ({"num_bytes": 9}, "got device 0, 9 bytes"),
        ({"body": b"other"}, "the same bytes for each receiver of a multicast, got others for 2"),
        ({"dst": 1}, "expected each receiver once in a multicast, got 1 2 times"),
        ({"dst": 0}, "expected two devices, got a link of 0 to itself"),
        ({"dst": 4}, "expected dst to be a device from 0 to 3, got 4"),
        ({"segment_bytes": 7}, "expected segments of 1000 bytes"),
    ],
)
def test_payloads_that_make_no_multicast(change, message):
    run = Run(steady(), **NO_HEADER)
    first = run.payload(0, 1, 10)
    second = replace(run.payload(0, 2, 10), **change)
    with pytest.raises(ValueError, match=message):
        run.network.multicast([first, second], 0.1)
    assert run.network.in_flight == ()


def test_a_multicast_to_nobody():
    with pytest.raises(ValueError, match="expected at least one payload, got none"):
        Run(steady()).network.multicast([], 0.1)


def test_a_multicast_without_power():
    with pytest.raises(ValueError, match="expected a transmit power above 0 W"):
        Run(steady()).multicast(0, [1, 2], 10, power_w=0.0)
