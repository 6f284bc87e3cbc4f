"""Bands that are divided slot by slot, and bands of whole resource blocks, by hand."""

import math
from typing import ClassVar

import numpy as np
import pytest
from network_helpers import BOTH, FAST, NO_HEADER, NOISE_W, Run, TableWorld, Turns, steady

from cosim.radio.sharing.base import Division, SharingRule
from cosim.units import Seconds

POWER_W = 0.2


class BySnr(SharingRule):
    """Shares in proportion to the SNRs; in slots, or when flows start and end."""

    slot_s: Seconds | None = None

    def divide(self, demand):
        snr = demand.snr().mean(axis=2)
        return Division((snr / snr.sum(axis=0))[:, :, np.newaxis])


@BOTH
def test_flows_take_turns_slot_by_slot(engine):
    """Of two flows the first has slots 0, 2, 4 and the second 1, 3 and what comes then."""
    run = Run(steady(), engine=engine, rate=FAST, spectrum={"rule": Turns()}, **NO_HEADER)
    run.send(0, 1, 2500)
    run.send(0, 2, 4000)
    run.env.run()
    # The first ends in the middle of slot 4, and the second has the rest of it.
    np.testing.assert_allclose(run.ends_s(), [0.0045, 0.0065], rtol=1e-9)
    np.testing.assert_allclose(run.packets_of(0).end_s, [0.001, 0.003, 0.0045])
    np.testing.assert_allclose(run.packets_of(1).end_s, [0.002, 0.004, 0.0055, 0.0065])


@BOTH
def test_a_flow_that_comes_in_the_middle_of_a_slot(engine):
    """Memory is of the slots before: in slot 2 the first has had two, and the new one none."""
    run = Run(steady(), engine=engine, rate=FAST, spectrum={"rule": Turns()}, **NO_HEADER)
    run.send(0, 1, 4000)
    run.at(0.0025, lambda: run.send(0, 2, 2000))
    run.env.run()
    # The new one has the rest of slot 2, and slot 3. They have had two each then, so that slot 4
    # is the first one's and slot 5 the new one's, which ends in its middle.
    np.testing.assert_allclose(run.packets_of(0).end_s, [0.001, 0.002, 0.0045, 0.006])
    np.testing.assert_allclose(run.packets_of(1).end_s, [0.0035, 0.0055])


@BOTH
def test_domains_have_slots_of_their_own(engine):
    run = Run(steady(), engine=engine, rate=FAST, spectrum={"rule": Turns()}, **NO_HEADER)
    run.send(0, 1, 2000)
    run.send(2, 1, 2000)
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.002, 0.002], rtol=1e-9)


@BOTH
def test_shares_and_gains_change_at_the_starts_of_slots_only(engine):
    """Gains change each millisecond, slots are two long: what counts is the middle of a slot."""
    gains = {(0, 1): [1e-12, 3e-12, 5e-12, 1e-12], (0, 2): [1e-12, 1e-12, 1e-12, 7e-12]}
    run = Run(TableWorld(3, gains, 0.001), engine=engine,
              spectrum={"rule": BySnr(slot_s=0.002)}, **NO_HEADER)  # fmt: skip
    run.send(0, 1, 1_000_000, POWER_W)
    run.send(0, 2, 1_000_000, POWER_W)
    run.env.run(until=0.0035)
    run.network.finish()

    def rate_bps(gain, share):
        return share * 10e6 * math.log2(1 + POWER_W * gain / (NOISE_W * share))

    first = 0.002 * rate_bps(3e-12, 3 / 4) + 0.0015 * rate_bps(1e-12, 1 / 8)
    second = 0.002 * rate_bps(1e-12, 1 / 4) + 0.0015 * rate_bps(7e-12, 7 / 8)
    np.testing.assert_allclose([run.flow(n).air_bits for n in (0, 1)], [first, second], rtol=1e-9)


@BOTH
def test_a_rule_without_slots_keeps_its_shares_while_gains_change(engine):
    gains = {(0, 1): [3e-12, 9e-12], (0, 2): [1e-12]}
    run = Run(TableWorld(3, gains, 0.001), engine=engine, rate=FAST, spectrum={"rule": BySnr()},
              **NO_HEADER)  # fmt: skip
    run.send(0, 1, 1_000_000, POWER_W)
    run.send(0, 2, 1_000_000, POWER_W)
    run.env.run(until=0.004)
    run.network.finish()
    np.testing.assert_allclose([run.flow(n).air_bits for n in (0, 1)], [24_000, 8000], rtol=1e-9)


@BOTH
@pytest.mark.parametrize("rounded", ["down", "not", "up"])
def test_a_flow_that_starts_as_the_channel_changes_has_its_share_by_what_comes(engine, rounded):
    """Whatever rounding makes of k dt: shares 9 : 1 from even samples on, 1 : 1 from odd ones."""
    interval_s = 0.0007
    world = TableWorld(3, {(0, 1): [9e-12, 1e-12], (0, 2): [1e-12]}, interval_s)
    for first in range(1, 60, 7):
        start_s = first * interval_s
        if rounded != "not":
            start_s = math.nextafter(start_s, math.inf if rounded == "up" else 0.0)
        run = Run(world, engine=engine, rate=FAST, spectrum={"rule": BySnr()}, **NO_HEADER)
        run.send(0, 1, 10_000_000, POWER_W)
        run.at(start_s, lambda run=run: run.send(0, 2, 1_000_000, POWER_W))
        run.env.run(until=interval_s * (first + 4))
        run.network.finish()
        share = 0.5 if first % 2 else 0.1
        expected = share * 8e6 * 4 * interval_s
        assert run.flow(1).air_bits == pytest.approx(expected, rel=1e-9), first


BLOCKS = {"resource_blocks": {"count": 4, "spacing": "15 kHz"}}


@BOTH
def test_whole_resource_blocks(engine):
    """A third of four blocks each is two, one and one; half of four is two."""
    run = Run(steady(), engine=engine, rate=FAST, spectrum=BLOCKS, **NO_HEADER)
    for dst in (1, 2, 3):
        run.send(0, dst, 1000)
    run.env.run()
    # 1000 B at half rate until 2 ms, when the others have 500 B left; then half rate each.
    np.testing.assert_allclose(run.ends_s(), [0.002, 0.003, 0.003], rtol=1e-9)


@BOTH
def test_a_band_of_blocks_is_as_wide_as_they_are(engine):
    run = Run(TableWorld(2, [1e-13]), engine=engine, spectrum=BLOCKS, **NO_HEADER)
    run.send(0, 1, 1000, POWER_W)
    run.env.run()
    width_hz = 4 * 12 * 15e3
    rate_bps = width_hz * math.log2(1 + POWER_W * 1e-13 / (NOISE_W / 10e6 * width_hz))
    assert run.flow(0).end_s == pytest.approx(8000 / rate_bps, rel=1e-9)


@BOTH
def test_more_flows_than_blocks(engine):
    """Two blocks, three flows: each has two thirds of the time of a block; then each has one.

    At 1000 bytes/ms for all of the band. What a flow radiates, it radiates in its turns.
    """
    spectrum = {"resource_blocks": {"count": 2}}
    run = Run(steady(), engine=engine, rate=FAST, spectrum=spectrum, **NO_HEADER)
    run.send(0, 1, 1000)
    run.send(0, 2, 2000)
    run.send(0, 3, 500)
    run.env.run()
    first_s = 0.5 / 1000 * 3
    second_s = first_s + 0.5 / 500
    third_s = second_s + 1.0 / 1000
    np.testing.assert_allclose(run.ends_s(), [second_s, third_s, first_s], rtol=1e-9)
    turns_s = 2 / 3 * first_s
    on_s = np.array([turns_s + second_s - first_s, turns_s + third_s - first_s, turns_s])
    energy_j = [run.flow(number).energy_j for number in range(3)]
    np.testing.assert_allclose(energy_j, 0.2 * on_s, rtol=1e-9)


@BOTH
def test_a_turn_has_the_snr_of_a_block(engine):
    """Four flows on two blocks: half of the time the rate of half a band, at twice the SNR."""
    spectrum = {"resource_blocks": {"count": 2}, "domain": "per_cell"}
    run = Run(TableWorld(8, [1e-12]), engine=engine, spectrum=spectrum, **NO_HEADER)
    for number in range(4):
        run.send(number, number + 4, 1000, POWER_W)
    run.env.run()
    width_hz = 2 * 180e3
    snr = POWER_W * 1e-12 / (NOISE_W / 10e6 * width_hz)
    rate_bps = 0.5 * (width_hz / 2) * math.log2(1 + snr / 0.5)
    np.testing.assert_allclose(run.ends_s(), 8000 / rate_bps, rtol=1e-9)


@BOTH
def test_without_a_count_it_is_that_of_the_standard(engine):
    """38.101-1, Table 5.3.2-1: 52 blocks of 180 kHz in 10 MHz."""
    run = Run(TableWorld(2, [1e-13]), engine=engine, spectrum={"resource_blocks": {}}, **NO_HEADER)
    run.send(0, 1, 1000, POWER_W)
    run.env.run()
    width_hz = 52 * 180e3
    rate_bps = width_hz * math.log2(1 + POWER_W * 1e-13 / (NOISE_W / 10e6 * width_hz))
    assert run.flow(0).end_s == pytest.approx(8000 / rate_bps, rel=1e-9)


class Tilted(TableWorld):
    """A channel whose first block is good and whose second is bad, and the other way round to 2."""

    def __init__(self, num_devices, gain):
        super().__init__(num_devices, [gain], is_selective=True)
        self.gain_at = gain

    def block_gain(self, src, dst, t_s, offset_hz):
        tilt = np.array([1.6, 0.4] if dst == 1 else [0.4, 1.6])
        assert len(offset_hz) == 2
        np.testing.assert_allclose(offset_hz, [-90e3, 90e3])
        return np.repeat(self.gain_at * tilt[np.newaxis], len(t_s), axis=0)


class BestBlocks(SharingRule):
    """Each block to the flow that hears it best."""

    exclusive: ClassVar[bool] = True
    slot_s: float | None = 0.001

    def divide(self, demand):
        snr = demand.snr()
        return Division((snr == snr.max(axis=0)).astype(float))


@BOTH
def test_blocks_of_a_selective_channel(engine):
    """Each flow has its better block, and all of its power in it."""
    run = Run(Tilted(3, 1e-13), engine=engine, **NO_HEADER,
              spectrum={"rule": BestBlocks(), "resource_blocks": {"count": 2}})  # fmt: skip
    run.send(0, 1, 1000, POWER_W)
    run.send(0, 2, 1000, POWER_W)
    run.env.run()
    rate_bps = 180e3 * math.log2(1 + POWER_W * 1.6e-13 / (NOISE_W / 10e6 * 180e3))
    np.testing.assert_allclose(run.ends_s(), [8000 / rate_bps] * 2, rtol=1e-9)


@BOTH
def test_a_flow_alone_has_both_blocks(engine):
    """Its rate is the mean of what the blocks carry at half the power each."""
    run = Run(Tilted(3, 1e-13), engine=engine, **NO_HEADER,
              spectrum={"resource_blocks": {"count": 2}})  # fmt: skip
    run.send(0, 1, 1000, POWER_W)
    run.env.run()
    noise_w = NOISE_W / 10e6 * 360e3
    rate_bps = 180e3 * sum(math.log2(1 + POWER_W * gain / noise_w) for gain in (1.6e-13, 0.4e-13))
    assert run.flow(0).end_s == pytest.approx(8000 / rate_bps, rel=1e-9)


class Curious(SharingRule):
    """All of the band to one flow; it notes the rate that it is told the flow has then."""

    told: ClassVar[list[float]] = []

    def divide(self, demand):
        shares = np.ones((1, demand.num_slots, 2))
        self.told.append(float(demand.rate_bps(shares)[0, 0]))
        return Division(shares)


@BOTH
def test_a_rule_is_told_the_rate_of_the_worst_receiver_not_of_the_worst_blocks(engine):
    """Each receiver has one good block, so that both carry what the mean of the blocks does."""
    Curious.told.clear()
    run = Run(Tilted(3, 1e-13), engine=engine, **NO_HEADER,
              spectrum={"rule": Curious(), "resource_blocks": {"count": 2}})  # fmt: skip
    run.multicast(0, [1, 2], 1000, POWER_W)
    run.env.run()
    noise_w = NOISE_W / 10e6 * 360e3
    rate_bps = 180e3 * sum(math.log2(1 + POWER_W * gain / noise_w) for gain in (1.6e-13, 0.4e-13))
    np.testing.assert_allclose(Curious.told, rate_bps, rtol=1e-9)
    np.testing.assert_allclose(run.ends_s(), 8000 / rate_bps, rtol=1e-9)
