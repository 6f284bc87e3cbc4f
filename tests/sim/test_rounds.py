"""Rounds and combining by hand: what is lost goes out again after the block acknowledgement."""

import numpy as np
import pytest
from network_helpers import BOTH, FAST, NO_HEADER, NOISE_W, Run, TableWorld, ThresholdError, steady

GOOD, BAD = 1e-9, 1e-16
LEAST = 10.0
ERROR = ThresholdError(least_snr=LEAST)
WEAK = 0.6 * LEAST * NOISE_W / 0.2  # a gain of which two attempts at 0.2 W suffice, and not one


def world(letters):
    """One sample each millisecond: good or bad."""
    return TableWorld(4, [GOOD if letter == "g" else BAD for letter in letters], 0.001)


def rounds_of(letters, num_bytes=3000, power_w=1.0, engine="packet_train", **options):
    run = Run(world(letters), engine=engine, rate=FAST, error=ERROR,
              **{"ack_delay": "2 ms"} | NO_HEADER | options)  # fmt: skip
    run.send(0, 1, num_bytes, power_w=power_w)
    run.env.run()
    return run


@BOTH
def test_lost_packets_wait_for_the_acknowledgement(engine):
    """Three packets until 3 ms; the second again from 5 ms and from 8 ms."""
    run = rounds_of("gbgggbggggg", engine=engine)
    record, packets = run.flow(0), run.packets_of(0)
    assert (record.outcome, record.num_attempts, record.num_lost) == ("delivered", 5, 0)
    assert record.end_s == pytest.approx(0.009)
    assert packets.num_attempts.tolist() == [1, 3, 1]
    np.testing.assert_allclose(packets.start_s, [0.0, 0.001, 0.002])
    np.testing.assert_allclose(packets.end_s, [0.001, 0.009, 0.003])
    # On the air for 3 + 1 + 1 ms; it waits without radiating.
    assert record.energy_j == pytest.approx(0.005)
    assert record.air_bits == pytest.approx(40_000)
    changes = [(pytest.approx(t), change) for t, _, change in run.sends]
    assert changes == [(0, 1), (0.003, -1), (0.005, 1), (0.006, -1), (0.008, 1), (0.009, -1)]


@BOTH
def test_without_a_delay_lost_packets_go_again_at_once(engine):
    run = rounds_of("gbbgg", engine=engine, ack_delay="0 s")
    assert run.packets_of(0).num_attempts.tolist() == [1, 3, 1]
    np.testing.assert_allclose(run.packets_of(0).end_s, [0.001, 0.004, 0.005])


@BOTH
def test_attempts_are_capped_over_rounds(engine):
    run = rounds_of("gbg" + "b" * 20, engine=engine, max_attempts=2)
    record = run.flow(0)
    assert (record.outcome, record.num_attempts, record.num_lost) == ("partial", 4, 1)
    assert record.end_s == pytest.approx(0.006)
    assert run.packets_of(0).delivered.tolist() == [True, False, True]


@BOTH
def test_the_default_cap_is_eight_rounds(engine):
    run = rounds_of("b", 1000, engine=engine)
    assert run.packets_of(0).num_attempts.tolist() == [8]
    assert run.flow(0).end_s == pytest.approx(8 * 0.001 + 7 * 0.002)


@BOTH
def test_best_effort_has_one_round(engine):
    run = rounds_of("gbg", engine=engine, reliability="best_effort")
    assert (run.flow(0).outcome, run.flow(0).num_attempts) == ("partial", 3)
    assert run.flow(0).end_s == pytest.approx(0.003)


@BOTH
def test_a_short_last_packet_is_short_again(engine):
    run = rounds_of("ggb" + "g" * 9, 2400, engine=engine)
    assert run.packets_of(0).num_attempts.tolist() == [1, 1, 2]
    assert run.flow(0).end_s == pytest.approx(0.0024 + 0.002 + 0.0004)
    assert run.flow(0).air_bits == pytest.approx(8 * 2800)


@BOTH
def test_the_last_packet_may_be_the_one_that_arrived(engine):
    run = rounds_of("bbg" + "g" * 9, 2400, engine=engine)
    assert run.packets_of(0).num_attempts.tolist() == [2, 2, 1]
    assert run.flow(0).end_s == pytest.approx(0.0024 + 0.002 + 0.002)


@BOTH
def test_others_have_the_band_while_it_waits(engine):
    run = Run(world("gbggggggg"), engine=engine, rate=FAST, error=ERROR, ack_delay="2 ms",
              parallel=1, **NO_HEADER)  # fmt: skip
    run.send(0, 1, 2000)  # until 2 ms; the second packet again when the other is through
    run.send(0, 2, 3000)  # from 2 ms to 5 ms
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.006, 0.005])


@BOTH
def test_what_goes_out_again_queues_behind_what_asked_before(engine):
    """The second packet's acknowledgement comes at 4 ms; the third update waits since 0 ms."""
    run = Run(world("gb" + "g" * 10), engine=engine, rate=FAST, error=ERROR, ack_delay="2 ms",
              parallel=1, **NO_HEADER)  # fmt: skip
    for num_bytes in (2000, 3000, 1000):  # until 2 ms, until 5 ms, until 6 ms
        run.send(0, 1, num_bytes)
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.007, 0.005, 0.006])


@BOTH
def test_no_acknowledgement_before_what_it_acknowledges(engine):
    """1 ms of delay, but the packets themselves take 3 ms."""
    run = rounds_of("b" + "g" * 9, 1000, engine=engine, ack_delay="1 ms", processing="3 ms")
    assert run.flow(0).end_s == pytest.approx(0.001 + 0.003 + 0.001 + 0.003)


@BOTH
@pytest.mark.parametrize(
    ("deadline_ms", "end_ms", "arrived", "attempts"),
    [
        (1.5, 1.5, [True, False, False], 2),  # in the first round
        (3.2, 3.2, [True, False, False], 3),  # the third packet has left the air, no more
        (4.0, 4.0, [True, False, True], 3),  # while it waits for the acknowledgement
        (5.7, 5.7, [True, False, True], 4),  # in the second round
        (6.2, 6.2, [True, False, True], 4),  # the second packet is on its way
        (6.5, 6.5, [True, True, True], 4),  # it arrives on the deadline
    ],
)
def test_a_deadline_may_come_at_any_time(engine, deadline_ms, end_ms, arrived, attempts):
    run = rounds_of("gbg" + "g" * 9, engine=engine, processing="0.5 ms",
                    deadline=f"{deadline_ms} ms")  # fmt: skip
    record = run.flow(0)
    assert run.deliveries[0][1].arrived.tolist() == arrived
    assert record.num_attempts == attempts
    assert record.end_s == pytest.approx(end_ms / 1000)
    assert record.outcome == ("delivered" if all(arrived) else "expired")
    on_air_ms = min(deadline_ms, 3.0) + min(max(deadline_ms - 5.0, 0.0), 1.0)
    assert record.energy_j == pytest.approx(on_air_ms / 1000)


@BOTH
def test_abort_while_it_waits_for_the_acknowledgement(engine):
    run = Run(world("gbg" + "g" * 9), engine=engine, rate=FAST, error=ERROR, ack_delay="2 ms",
              **NO_HEADER)  # fmt: skip
    transfer = run.send(0, 1, 3000, power_w=1.0)
    run.at(0.004, lambda: run.network.abort(transfer))
    run.env.run()
    assert run.flow(0).outcome == "aborted"
    assert run.deliveries[0][1].arrived.tolist() == [True, False, True]
    assert run.flow(0).end_s == 0.004
    assert len(run.sends) == 2


@BOTH
def test_rounds_have_losses_of_their_own(engine):
    """At 50 %, 4,000 packets: after three rounds an eighth is lost, to 5 standard errors (6e-7)."""
    run = Run(steady(), engine=engine, rate=FAST, error={"kind": "fixed", "rate": 0.5},
              max_attempts=3, ack_delay="1 ms", **NO_HEADER)  # fmt: skip
    run.send(0, 1, 4_000_000)
    run.env.run()
    lost = run.flow(0).num_lost / 4000
    assert abs(lost - 0.125) < 5 * (0.125 * 0.875 / 4000) ** 0.5
    counts = np.bincount(run.packets_of(0).num_attempts, minlength=4)[1:] / 4000
    for count, mean in zip(counts, (0.5, 0.25, 0.25), strict=True):
        assert abs(count - mean) < 5 * (mean * (1 - mean) / 4000) ** 0.5


@BOTH
def test_a_packet_that_was_lost_is_not_lost_again_for_it(engine):
    """600 updates of one packet: an eighth is lost for good, to 5 standard errors (6e-7)."""
    run = Run(steady(), engine=engine, rate=FAST, error={"kind": "fixed", "rate": 0.5},
              max_attempts=3, ack_delay="1 ms", parallel=1, **NO_HEADER)  # fmt: skip
    for _ in range(600):
        run.send(0, 1, 1000)
    run.env.run()
    lost = sum(flow.num_lost for flow in run.flows) / 600
    assert abs(lost - 0.125) < 5 * (0.125 * 0.875 / 600) ** 0.5


# Chase combining


@BOTH
@pytest.mark.parametrize(("combining", "attempts"), [("chase", 2), ("none", 8)])
def test_combined_attempts_add_their_snr(engine, combining, attempts):
    run = Run(TableWorld(2, [WEAK]), engine=engine, rate=FAST, error=ERROR, combining=combining,
              **NO_HEADER)  # fmt: skip
    run.send(0, 1, 3000, power_w=0.2)
    run.env.run()
    assert run.packets_of(0).num_attempts.tolist() == [attempts] * 3
    assert run.flow(0).outcome == ("delivered" if combining == "chase" else "partial")


@BOTH
def test_combining_adds_what_each_attempt_had(engine):
    """By sample 0.2, 0.5, 0.2, 0.2 of what is needed, and again: three attempts, then four."""
    gains = np.array([0.2, 0.5, 0.4, 0.2, 0.2, 0.5, 0.2, 0.9]) * LEAST * NOISE_W / 0.2
    run = Run(TableWorld(2, gains, 0.001), engine=engine, rate=FAST, error=ERROR,
              combining="chase", **NO_HEADER)  # fmt: skip
    run.send(0, 1, 2000, power_w=0.2)
    run.env.run()
    assert run.packets_of(0).num_attempts.tolist() == [3, 4]
    assert run.flow(0).end_s == pytest.approx(0.007)


@BOTH
def test_what_was_received_of_one_packet_does_not_help_the_next(engine):
    """0.9 for the first packet's only attempt, then 0.9 again: none gets through."""
    gains = np.array([0.9]) * LEAST * NOISE_W / 0.2
    run = Run(TableWorld(2, gains), engine=engine, rate=FAST, error=ERROR, combining="chase",
              reliability="best_effort", **NO_HEADER)  # fmt: skip
    run.send(0, 1, 3000, power_w=0.2)
    run.env.run()
    assert run.flow(0).num_lost == 3


@BOTH
@pytest.mark.parametrize(("combining", "end_s"), [("chase", 0.009), ("none", 0.012)])
def test_combining_goes_on_over_rounds(engine, combining, end_s):
    """The second packet: 0.3 at 1 ms, 0.4 at 5 ms, 0.4 at 8 ms; enough by itself at 11 ms."""
    gains = np.array([1, 0.3, 1, 1, 1, 0.4, 1, 1, 0.4, 1, 1, 1]) * LEAST * NOISE_W / 0.2 * 1.001
    run = Run(TableWorld(2, gains, 0.001), engine=engine, rate=FAST, error=ERROR,
              combining=combining, ack_delay="2 ms", **NO_HEADER)  # fmt: skip
    run.send(0, 1, 3000, power_w=0.2)
    run.env.run()
    assert run.flow(0).end_s == pytest.approx(end_s)
    assert run.packets_of(0).num_attempts.tolist() == [1, 3 if combining == "chase" else 4, 1]
