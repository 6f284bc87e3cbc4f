"""Co-channel interference by hand: who disturbs whom, how much, and from when to when."""

import math

import numpy as np
import pytest
from network_helpers import BOTH, FAST, NO_HEADER, NOISE_W, Run, TableWorld, ThresholdError, Turns

from cosim.scenario.tree import Radio

CO_CHANNEL = {"interference": "co_channel"}
POWER_W = 0.2
# 0 -> 1 and 2 -> 3 are the links; 2 is heard at 1 and 0 at 3.
GAINS = {(0, 1): [8e-12], (2, 3): [5e-12], (1, 2): [2e-12], (0, 3): [1e-12]}
GAINS |= {(0, 2): [3e-12], (1, 3): [3e-12]}


def rate_bps(gain, interference_w=0.0, share=1.0, power_w=POWER_W):
    """Shannon's rate on a share of 10 MHz."""
    sinr = power_w * gain / (share * (NOISE_W + interference_w))
    return share * 10e6 * math.log2(1 + sinr)


@BOTH
def test_sinr_of_two_links_while_both_are_on_the_air(engine):
    """0 -> 1 is disturbed while 2 -> 3 sends, which is disturbed all the time."""
    run = Run(TableWorld(4, GAINS), engine=engine, spectrum=CO_CHANNEL, **NO_HEADER)
    run.send(0, 1, 40_000, POWER_W)
    run.at(0.001, lambda: run.send(2, 3, 5000, 0.1))
    run.env.run()
    second_s = 40_000 / rate_bps(5e-12, POWER_W * 1e-12, power_w=0.1)
    assert run.flow(1).end_s == pytest.approx(0.001 + second_s, rel=1e-9)
    alone, disturbed = rate_bps(8e-12), rate_bps(8e-12, 0.1 * 2e-12)
    served = alone * 0.001 + disturbed * second_s
    end_s = 0.001 + second_s + (320_000 - served) / alone
    assert end_s > 0.001 + second_s
    assert run.flow(0).end_s == pytest.approx(end_s, rel=1e-9)


@BOTH
def test_without_interference_nobody_is_disturbed(engine):
    run = Run(TableWorld(4, GAINS), engine=engine, **NO_HEADER)
    run.send(0, 1, 40_000, POWER_W)
    run.send(2, 3, 40_000, POWER_W)
    run.env.run()
    np.testing.assert_allclose(
        run.ends_s(), [320_000 / rate_bps(8e-12), 320_000 / rate_bps(5e-12)], rtol=1e-9
    )


@BOTH
@pytest.mark.parametrize(
    ("reach_m", "first_w", "second_w"),
    [(30.0, POWER_W * 2e-12, 0.0), (29.0, 0.0, 0.0), (90.0, POWER_W * 2e-12, POWER_W * 1e-12)],
)
def test_interference_reaches_so_far(engine, reach_m, first_w, second_w):
    """On a line, 30 m apart: from 2 to 1 it is 30 m, from 0 to 3 90 m."""
    world = TableWorld(4, GAINS, spacing_m=30.0)
    run = Run(world, engine=engine, spectrum=CO_CHANNEL, reach_m=reach_m, **NO_HEADER)
    run.send(0, 1, 1000, POWER_W)
    run.send(2, 3, 1_000_000, POWER_W)
    run.env.run(until=0.001)
    assert run.flow(0).end_s == pytest.approx(8000 / rate_bps(8e-12, first_w), rel=1e-9)
    run.network.finish()
    disturbed_s = run.flow(0).end_s
    served = disturbed_s * rate_bps(5e-12, second_w) + (0.001 - disturbed_s) * rate_bps(5e-12)
    assert run.flow(1).air_bits == pytest.approx(served, rel=1e-9)


@BOTH
def test_a_receiver_that_sends_does_not_disturb_itself(engine):
    """0 -> 1 and 1 -> 2: 0 disturbs 2, but 1 is not disturbed by what it sends."""
    gains = {(0, 1): [8e-12], (1, 2): [5e-12], (0, 2): [3e-12]}
    run = Run(TableWorld(3, gains), engine=engine, spectrum=CO_CHANNEL, **NO_HEADER)
    run.send(0, 1, 10_000, POWER_W)
    run.send(1, 2, 1000, POWER_W)
    run.env.run()
    np.testing.assert_allclose(
        run.ends_s(),
        [80_000 / rate_bps(8e-12), 8000 / rate_bps(5e-12, POWER_W * 3e-12)],
        rtol=1e-9,
    )


@BOTH
def test_flows_of_one_domain_do_not_collide(engine):
    run = Run(TableWorld(4, GAINS), engine=engine, spectrum=CO_CHANNEL | {"domain": "per_cluster"},
              **NO_HEADER)  # fmt: skip
    run.network.set_clusters([0, 1, 0, 1])
    run.send(0, 1, 10_000, POWER_W)
    run.send(2, 3, 10_000, POWER_W)
    run.env.run(until=0.002)
    run.network.finish()
    halves = [rate_bps(8e-12, share=0.5), rate_bps(5e-12, share=0.5)]
    np.testing.assert_allclose(
        [run.flow(n).air_bits for n in (0, 1)], [0.002 * rate for rate in halves], rtol=1e-9
    )


@BOTH
def test_power_is_spread_over_the_band_whatever_the_share(engine):
    """2 sends to 3 and to 1 on half its band each: both together disturb all of the other's."""
    run = Run(TableWorld(5, GAINS | {(3, 4): [4e-12], (2, 4): [2e-12]}), engine=engine,
              spectrum=CO_CHANNEL, **NO_HEADER)  # fmt: skip
    run.send(2, 3, 1_000_000, POWER_W)
    run.send(2, 4, 1_000_000, 0.05)
    run.send(0, 1, 5000, POWER_W)
    run.env.run(until=0.02)
    run.network.finish()
    assert run.flow(2).end_s == pytest.approx(
        40_000 / rate_bps(8e-12, (POWER_W + 0.05) * 2e-12), rel=1e-9
    )


@BOTH
def test_where_flows_take_turns_they_disturb_by_their_average(engine):
    """Two flows of 2 take turns at 0.2 and 0.1 W: 0.15 W disturb, and 0.2 W once one is through."""
    gains = GAINS | {(2, 4): [5e-12]}
    run = Run(TableWorld(5, gains), engine=engine, spectrum=CO_CHANNEL | {"rule": Turns()},
              **NO_HEADER)  # fmt: skip
    long, short = run.send(2, 3, 1_000_000, 0.2), run.send(2, 4, 1_000_000, 0.1)
    run.send(0, 1, 1_000_000, POWER_W)
    run.at(0.0025, lambda: run.network.abort(short))
    run.at(0.004, lambda: run.network.abort(long))
    run.env.run(until=0.006)
    run.network.finish()
    served = 0.0025 * rate_bps(8e-12, 0.15 * 2e-12) + 0.0015 * rate_bps(8e-12, 0.2 * 2e-12)
    served += 0.002 * rate_bps(8e-12)
    assert run.flow(2).air_bits == pytest.approx(served, rel=1e-9)


@BOTH
def test_turns_are_those_of_the_whole_domain_also_of_flows_out_of_reach(engine):
    """2 and 5 take turns in one cluster; 1 hears 2, at 30 m, and not 5, at 120 m."""
    gains = GAINS | {(4, 5): [5e-12], (1, 5): [9e-12]}
    spectrum = CO_CHANNEL | {"rule": Turns(), "domain": "per_cluster"}
    run = Run(TableWorld(6, gains, spacing_m=30.0), engine=engine, spectrum=spectrum, reach_m=40.0,
              **NO_HEADER)  # fmt: skip
    run.network.set_clusters([0, 0, 1, 1, 1, 1])
    run.send(0, 1, 1_000_000, POWER_W)
    run.send(2, 3, 1_000_000, POWER_W)
    sent = []
    run.at(0.001, lambda: sent.append(run.send(5, 4, 1_000_000, POWER_W)))
    run.at(0.003, lambda: run.network.abort(sent[0]))
    run.env.run(until=0.004)
    run.network.finish()
    served = 0.002 * rate_bps(8e-12, POWER_W * 2e-12) + 0.002 * rate_bps(8e-12, POWER_W * 1e-12)
    assert run.flow(0).air_bits == pytest.approx(served, rel=1e-9)


@BOTH
def test_links_of_one_transmitter_to_two_cells_do_not_collide(engine):
    gains = {(0, 1): [8e-12], (0, 2): [5e-12]}
    run = Run(TableWorld(3, gains), engine=engine, is_base=[False, True, True],
              spectrum=CO_CHANNEL | {"domain": "per_cell"}, **NO_HEADER)  # fmt: skip
    run.send(0, 1, 1000, POWER_W)
    run.send(0, 2, 1000, POWER_W)
    run.env.run()
    expected = [8000 / rate_bps(8e-12), 8000 / rate_bps(5e-12)]
    np.testing.assert_allclose(run.ends_s(), expected, rtol=1e-9)


@BOTH
def test_a_receiver_of_a_multicast_that_sends_disturbs_the_others(engine):
    """1 sends to 3 while it receives from 0, which 2 does too: 2 is disturbed, 1 is not."""
    gains = GAINS | {(0, 2): [9e-12], (1, 1): [1.0], (1, 3): [1e-12]}
    run = Run(TableWorld(4, gains), engine=engine, spectrum=CO_CHANNEL, **NO_HEADER)
    run.multicast(0, [1, 2], 1_000_000, POWER_W)
    run.send(1, 3, 1_000_000, POWER_W)
    run.env.run(until=0.001)
    run.network.finish()
    served = 0.001 * rate_bps(9e-12, POWER_W * 2e-12)  # 2 is the worst of the two
    assert sum(run.flow(n).air_bits for n in (0, 1)) == pytest.approx(served, rel=1e-9)


@BOTH
def test_each_receiver_of_a_multicast_is_disturbed_by_itself(engine):
    """2 disturbs 1 so much that the farther 4 is no longer the worst."""
    gains = GAINS | {(0, 4): [6e-12], (2, 4): [0.0], (1, 2): [9e-12]}
    run = Run(TableWorld(5, gains), engine=engine, spectrum=CO_CHANNEL, **NO_HEADER)
    run.multicast(0, [1, 4], 1_000_000, POWER_W)
    interferer = run.send(2, 3, 1_000_000, POWER_W)
    run.at(0.001, lambda: run.network.abort(interferer))
    run.env.run(until=0.002)
    run.network.finish()
    served = 0.001 * (rate_bps(8e-12, POWER_W * 9e-12) + rate_bps(6e-12))
    assert sum(run.flow(n).air_bits for n in (0, 1)) == pytest.approx(served, rel=1e-9)


@BOTH
def test_interference_decides_over_losses(engine):
    """The rate is fixed; packets that begin while the other sends are lost."""
    error = ThresholdError(least_snr=POWER_W * 8e-12 / NOISE_W * 0.99)
    run = Run(TableWorld(4, GAINS), engine=engine, rate=FAST, error=error, spectrum=CO_CHANNEL,
              reliability="best_effort", **NO_HEADER)  # fmt: skip
    run.send(0, 1, 6000, POWER_W)
    run.at(0.0015, lambda: run.send(2, 3, 2000, POWER_W))  # until 3.5 ms
    run.env.run()
    assert run.deliveries[0][1].arrived.tolist() == [True, True, False, False, True, True]


@BOTH
def test_an_interferer_on_the_move_is_followed_by_a_link_that_stands(engine):
    """0 -> 1 never changes; 2 comes near for the second of each two milliseconds."""
    gains = GAINS | {(1, 2): [0.0, 4e-12]}
    intervals = dict.fromkeys(gains, math.inf) | {(1, 2): 0.001}
    run = Run(TableWorld(4, gains, intervals), engine=engine, spectrum=CO_CHANNEL, **NO_HEADER)
    run.send(2, 3, 1_000_000, POWER_W)
    run.send(0, 1, 1_000_000, POWER_W)
    run.env.run(until=0.0035)
    run.network.finish()
    served = 0.002 * rate_bps(8e-12) + 0.0015 * rate_bps(8e-12, POWER_W * 4e-12)
    assert run.flow(1).air_bits == pytest.approx(served, rel=1e-9)


@BOTH
@pytest.mark.parametrize("near_weight", [3.0, 1 / 3])
def test_turns_on_blocks_count_each_flow_by_its_own(engine, near_weight):
    """Two flows take turns on one block: 0 -> 1 hears 2 and 4 in proportion to their shares."""
    gains = {(0, 1): [8e-12], (2, 3): [5e-12], (4, 5): [5e-12], (1, 2): [2e-12], (1, 4): [1e-12]}
    near, far = Radio(tx_power_dbm=40.0, sharing_weight=near_weight), Radio(tx_power_dbm=40.0)
    spectrum = CO_CHANNEL | {"rule": "weighted", "domain": "per_cluster"}
    spectrum |= {"resource_blocks": {"count": 1}}
    run = Run(TableWorld(6, gains), engine=engine, spectrum=spectrum,
              radios=[far, far, near, far, far, far], **NO_HEADER)  # fmt: skip
    run.network.set_clusters([0, 0, 1, 1, 1, 1])
    for src, num_bytes in ((2, 1_000_000), (4, 1_000_000), (0, 1000)):
        run.send(src, src + 1, num_bytes, POWER_W)
    run.env.run(until=0.1)
    part = near_weight / (near_weight + 1)
    heard_w = POWER_W * (part * 2e-12 + (1 - part) * 1e-12)
    noise_w = NOISE_W / 10e6 * 180e3
    rate = 180e3 * math.log2(1 + POWER_W * 8e-12 / (noise_w + heard_w))
    assert run.flow(2).end_s == pytest.approx(8000 / rate, rel=1e-9)


@BOTH
def test_turns_that_change_are_heard_at_once(engine):
    """One flow has the block to itself, then shares it with a deaf one of another device."""
    gains = {(0, 1): [8e-12], (2, 3): [5e-12], (1, 2): [2e-12], (4, 5): [5e-12]}
    spectrum = CO_CHANNEL | {"domain": "per_cluster", "resource_blocks": {"count": 1}}
    run = Run(TableWorld(6, gains), engine=engine, spectrum=spectrum, **NO_HEADER)
    run.network.set_clusters([0, 0, 1, 1, 1, 1])
    run.send(2, 3, 1_000_000, POWER_W)
    run.send(0, 1, 1_000_000, POWER_W)
    run.at(0.01, lambda: run.send(4, 5, 1_000_000, POWER_W))
    run.env.run(until=0.03)
    run.network.finish()
    noise_w = NOISE_W / 10e6 * 180e3

    def rate(heard_w):
        return 180e3 * math.log2(1 + POWER_W * 8e-12 / (noise_w + heard_w))

    served = 0.01 * rate(POWER_W * 2e-12) + 0.02 * rate(POWER_W * 1e-12)
    assert run.flow(1).air_bits == pytest.approx(served, rel=1e-9)
