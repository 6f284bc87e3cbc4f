"""What a transmitter knows by hand: rates held between reports, and the outer loop."""

import math

import numpy as np
import pytest
from network_helpers import BOTH, NO_HEADER, NOISE_W, Run, TableWorld, ThresholdError

from cosim.radio.rate.base import Rate
from cosim.radio.rate.shannon import Shannon
from cosim.sim.engines.feedback import Feedback
from cosim.units import Seconds

POWER_W = 0.2


class Reported(Rate):
    """Shannon's rate at the reported SNR, every 2.5 ms; or 8 Mbps, less the outer loop's offset."""

    outer_loop: bool = False
    period_s: Seconds = 0.0025

    @property
    def adapts(self):
        return self.outer_loop

    def bps(self, snr, bandwidth_hz, share, offset_db=0.0):
        if self.outer_loop:
            return np.full(np.shape(snr), 8e6 * 10.0 ** (-offset_db / 10.0)) * share
        return np.asarray(bandwidth_hz) * np.log2(1.0 + snr)

    def next_offset_db(self, offset_db, num_acks, num_nacks):
        return offset_db + 0.5 * num_nacks - 0.1 * num_acks

    def report_interval_s(self):
        return self.period_s


def shannon_bps(gain, interference_w=0.0):
    return 10e6 * math.log2(1 + POWER_W * gain / (NOISE_W + interference_w))


def served_by(run, t_s, num=0):
    run.env.run(until=t_s)
    run.network.finish()
    return run.flow(num).air_bits


GAINS = [1e-12, 2e-12, 3e-12, 4e-12, 5e-12, 6e-12, 7e-12, 8e-12, 9e-12]


@BOTH
def test_the_rate_is_held_until_the_next_report(engine):
    """Samples of 1 ms, reports every 2.5 ms: at samples 0, 3, 5, 8."""
    run = Run(TableWorld(2, GAINS, 0.001), engine=engine, rate=Reported(), **NO_HEADER)
    run.send(0, 1, 1_000_000, POWER_W)
    served = 3 * shannon_bps(1e-12) + 2 * shannon_bps(4e-12) + 3 * shannon_bps(6e-12)
    served += 0.5 * shannon_bps(9e-12)
    assert served_by(run, 0.0085) == pytest.approx(served / 1000, rel=1e-9)


@BOTH
def test_the_first_report_comes_with_the_first_bit(engine):
    run = Run(TableWorld(2, GAINS, 0.001), engine=engine, rate=Reported(), **NO_HEADER)
    run.at(0.0012, lambda: run.send(0, 1, 1_000_000, POWER_W))
    served = 1.8 * shannon_bps(2e-12) + 1.5 * shannon_bps(4e-12)
    assert served_by(run, 0.0045) == pytest.approx(served / 1000, rel=1e-9)


@BOTH
def test_a_channel_that_never_changes_is_reported_all_the_same(engine):
    run = Run(TableWorld(2, [4e-12]), engine=engine, rate=Reported(), **NO_HEADER)
    run.send(0, 1, 5000, POWER_W)
    run.env.run()
    assert run.flow(0).end_s == pytest.approx(40_000 / shannon_bps(4e-12), rel=1e-9)


@BOTH
def test_new_interference_is_known_at_the_next_report(engine):
    """It comes at 1.2 ms, in a report at 3 ms, and is gone at 4 ms, in a report at 5 ms."""
    gains = {(0, 1): [4e-12], (2, 3): [1e-12], (1, 2): [3e-12], (0, 3): [0.0]}
    run = Run(TableWorld(4, gains, 0.001), engine=engine, rate=Reported(),
              spectrum={"interference": "co_channel"}, **NO_HEADER)  # fmt: skip
    run.send(0, 1, 1_000_000, POWER_W)
    sent = []
    run.at(0.0012, lambda: sent.append(run.send(2, 3, 1_000_000, 0.1)))
    run.at(0.004, lambda: run.network.abort(sent[0]))
    clear, disturbed = shannon_bps(4e-12), shannon_bps(4e-12, 0.1 * 3e-12)
    assert served_by(run, 0.006) == pytest.approx((4 * clear + 2 * disturbed) / 1000, rel=1e-9)


@BOTH
def test_a_share_that_changes_is_known_at_once(engine):
    """Half the band has twice the reported SNR."""
    run = Run(TableWorld(3, {(0, 1): GAINS, (0, 2): [1e-12]}, 0.001), engine=engine,
              rate=Reported(), **NO_HEADER)  # fmt: skip
    run.send(0, 1, 1_000_000, POWER_W)
    run.at(0.0015, lambda: run.send(0, 2, 1_000_000, POWER_W))
    half_bps = 5e6 * math.log2(1 + 2 * POWER_W * 1e-12 / NOISE_W)
    served = 1.5 * shannon_bps(1e-12) + 1.0 * half_bps
    assert served_by(run, 0.0025) == pytest.approx(served / 1000, rel=1e-9)


@BOTH
def test_losses_follow_the_channel_and_not_the_report(engine):
    """At 8 Mbps one packet a millisecond; the third and fourth fall into the bad samples."""
    gains = np.array([9.0, 9.0, 1.0, 1.0, 9.0, 9.0]) * 1e-12
    rate = Reported(outer_loop=True, period_s=1.0)
    run = Run(TableWorld(2, gains, 0.001), engine=engine, rate=rate, reliability="best_effort",
              error=ThresholdError(least_snr=POWER_W * 5e-12 / NOISE_W), **NO_HEADER)  # fmt: skip
    run.send(0, 1, 6000, POWER_W)
    run.env.run()
    assert run.deliveries[0][1].arrived.tolist() == [True, True, False, False, True, True]


@BOTH
def test_the_outer_loop_counts_what_has_ended_since_the_last_report(engine):
    """Packets of 1 ms; the first three end by the report at 3 ms, of which the second is lost.

    The offset is then 0.5 - 2 * 0.1 dB. Two reports later nothing more was lost.
    """
    gains = [9e-12, 1e-12] + [9e-12] * 30
    error = ThresholdError(least_snr=POWER_W * 5e-12 / NOISE_W)
    run = Run(TableWorld(2, gains, 0.001), engine=engine, rate=Reported(outer_loop=True),
              error=error, reliability="best_effort", **NO_HEADER)  # fmt: skip
    run.send(0, 1, 100_000, POWER_W)
    run.env.run(until=0.0125)
    run.network.finish()
    # Reports at 0, 3, 5, 8 and 10 ms; by hand: rate until each, packets that ended by then.
    offset_db, served, ended, now_ms = 0.0, 0.0, 0, 0.0
    for report_ms, nacks in ((3, 1), (5, 0), (8, 0), (10, 0), (12.5, 0)):
        served += 8.0 * 10 ** (-offset_db / 10) * (report_ms - now_ms)  # kbit
        now_ms, num = report_ms, int(served / 8.0 + 1e-9)
        offset_db += 0.5 * nacks - 0.1 * (num - ended - nacks)
        ended = num
    assert run.flow(0).air_bits == pytest.approx(served * 1000, rel=1e-9)
    assert run.flow(0).num_lost == 1 + 1  # by its error, and the one under way
    assert run.flow(0).num_unsent == 100 - ended - 1


@BOTH
def test_a_flow_begins_without_an_offset(engine):
    """The second flow of a link does not inherit what the first one learned."""
    run = Run(TableWorld(2, [9e-12], 0.001), engine=engine, rate=Reported(outer_loop=True),
              **NO_HEADER)  # fmt: skip
    run.send(0, 1, 9000, POWER_W)
    run.at(0.020, lambda: run.send(0, 1, 1000, POWER_W))
    run.env.run()
    assert run.flow(0).end_s < 0.009
    assert run.flow(1).end_s == pytest.approx(0.021)


def test_reports_by_sample():
    """The first sample of each interval of 2.5 samples; of 0.4 samples every one."""
    feedback = Feedback(Reported(), 0.001, 0)
    assert [feedback.report(sample) for sample in range(11)] == [0, 0, 0, 3, 3, 5, 5, 5, 8, 8, 10]
    assert [feedback.next_report(sample) for sample in (0, 2, 3, 5, 8)] == [3, 3, 5, 8, 10]
    feedback = Feedback(Reported(period_s=0.0004), 0.001, 0)
    assert [feedback.report(sample) for sample in range(9)] == list(range(9))
    assert [feedback.next_report(sample) for sample in range(9)] == list(range(1, 10))
    assert Feedback(Shannon(), 0.001, 0).report(7) == 7  # it has none: it knows all


def test_reports_at_whole_multiples_do_not_drift():
    """An interval of 10 samples of 0.1 ms: every tenth sample, whatever float64 makes of it."""
    feedback = Feedback(Reported(period_s=0.001), 0.0001, 0)
    for sample in range(0, 200_000, 10):
        assert feedback.report(sample) == sample
        assert feedback.report(sample + 9) == sample
        assert feedback.next_report(sample) == sample + 10
