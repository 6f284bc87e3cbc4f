"""A device radiates no more than it can, and only while it sends; by hand."""

import math

import numpy as np
import pytest
from network_helpers import BOTH, NO_HEADER, NOISE_W, Run, TableWorld, Turns

from cosim.scenario.tree import Radio

MOST_W = 0.2
RADIOS = [Radio(tx_power_dbm=10 * math.log10(MOST_W * 1e3))] * 4
GAIN = 1e-12


def rate_bps(power_w, share=1.0, gain=GAIN, interference_w=0.0):
    """Shannon's rate on a share of 10 MHz."""
    sinr = power_w * gain / (share * (NOISE_W + interference_w))
    return share * 10e6 * math.log2(1 + sinr)


def run_on(engine, gains=GAIN, interval_s=math.inf, **options):
    table = gains if isinstance(gains, dict) else [gains]
    world = TableWorld(4, table, interval_s)
    return Run(world, engine=engine, radios=RADIOS, **NO_HEADER | options)


@BOTH
def test_flows_of_one_device_divide_its_power(engine):
    """Both want all of it: each has half, and the one that is left has all."""
    run = run_on(engine)
    run.send(0, 1, 1000, MOST_W)
    run.send(0, 2, 3000, MOST_W)
    run.env.run()
    half = rate_bps(MOST_W / 2, 1 / 2)
    first_s = 8000 / half
    second_s = first_s + 16_000 / rate_bps(MOST_W)
    np.testing.assert_allclose(run.ends_s(), [first_s, second_s], rtol=1e-9)
    energy_j = [run.flow(number).energy_j for number in range(2)]
    expected_j = [MOST_W / 2 * first_s, MOST_W / 2 * first_s + MOST_W * (second_s - first_s)]
    np.testing.assert_allclose(energy_j, expected_j, rtol=1e-9)
    assert run.network.radiated_j(0) == pytest.approx(MOST_W * second_s, rel=1e-9)


@BOTH
def test_power_is_divided_as_it_is_wanted(engine):
    """One wants a quarter of the device's power and the other all: 1/5 and 4/5 of it."""
    run = run_on(engine)
    run.send(0, 1, 1000, MOST_W / 4)
    run.at(0.0001, lambda: run.send(0, 2, 100_000, MOST_W))
    run.env.run(until=0.01)
    served = 0.0001 * rate_bps(MOST_W / 4)
    end_s = 0.0001 + (8000 - served) / rate_bps(MOST_W / 5, 1 / 2)
    assert run.flow(0).end_s == pytest.approx(end_s, rel=1e-9)


@BOTH
def test_what_is_wanted_together_within_the_power_is_had(engine):
    run = run_on(engine)
    for dst in (1, 2, 3):
        run.send(0, dst, 1000, MOST_W / 3)
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), 8000 / rate_bps(MOST_W / 3, 1 / 3), rtol=1e-9)


@BOTH
def test_power_is_divided_over_domains_and_heard_as_divided(engine):
    """0 sends in two clusters' bands; 2 -> 3 in a third hears half of what each wanted."""
    spectrum = {"domain": "per_cluster", "interference": "co_channel"}
    gains = {(0, 1): [8e-12], (0, 2): [3e-12], (2, 3): [5e-12], (0, 3): [1e-12]}
    run = run_on(engine, gains, spectrum=spectrum)
    run.network.set_clusters([0, 0, 1, 1])
    run.send(0, 1, 1_000_000, MOST_W)
    run.at(0.001, lambda: run.network.set_clusters([2, 2, 1, 1]))
    run.at(0.002, lambda: run.send(0, 2, 1_000_000, MOST_W))
    run.at(0.002, lambda: run.send(2, 3, 1000, MOST_W))
    run.env.run(until=0.02)
    heard_w = 2 * MOST_W / 2 * 1e-12
    end_s = 0.002 + 8000 / rate_bps(MOST_W, gain=5e-12, interference_w=heard_w)
    assert run.flow(2).end_s == pytest.approx(end_s, rel=1e-9)
    # What it began with all of its power it goes on with half of it.
    assert run.network.radiated_j(0) == pytest.approx(MOST_W * 0.02, rel=1e-9)


@BOTH
def test_who_takes_turns_has_all_of_the_power_in_each_and_radiates_in_them(engine):
    """Slots of 1 ms go to either flow by turns; 8 kbit take the first flow two slots and more."""
    run = run_on(engine, 4e-13, 0.001, spectrum={"rule": Turns()})
    run.send(0, 1, 1000, MOST_W)
    run.send(0, 2, 100_000, MOST_W)
    run.env.run(until=0.0095)
    on_s = 8000 / rate_bps(MOST_W, gain=4e-13)
    turns = on_s // 1e-3
    assert turns == 2
    assert run.flow(0).end_s == pytest.approx(turns * 0.002 + on_s - turns * 1e-3, rel=1e-9)
    assert run.flow(0).energy_j == pytest.approx(MOST_W * on_s, rel=1e-9)
    # The second flow has the other slots, and the rest of the slot in which the first one ends.
    assert run.network.radiated_j(0) == pytest.approx(MOST_W * 0.0095, rel=1e-9)


@BOTH
def test_nothing_is_radiated_while_there_is_no_modulation_for_the_channel(engine):
    """CQI 0 for 2 ms, then a good channel: what a flow radiates is power x time of its bits."""
    rate = {"kind": "cqi", "report_period": "1 ms"}
    run = run_on(engine, {(0, 1): [1e-16, 1e-16, 1e-10]}, 0.001, rate=rate)
    run.send(0, 1, 1000, MOST_W)
    run.env.run()
    end_s = run.flow(0).end_s
    assert 0.002 < end_s < 0.003
    assert run.flow(0).energy_j == pytest.approx(MOST_W * (end_s - 0.002), rel=1e-9)


@BOTH
def test_what_is_radiated_is_known_at_any_time(engine):
    run = run_on(engine)
    run.send(0, 1, 100_000, MOST_W / 2)
    asked = []
    for t_s in (0.0, 0.0001, 0.00123):
        run.at(t_s, lambda: asked.append(run.network.radiated_j(0)))
    run.env.run()
    np.testing.assert_allclose(asked, np.array([0.0, 0.0001, 0.00123]) * MOST_W / 2, rtol=1e-9)
    assert run.network.radiated_j(1) == 0.0
