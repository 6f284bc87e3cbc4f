"""Energy against sums by hand; batteries that run out at the very instant."""

import pytest
import simpy

from cosim.sim.check import InvariantError
from cosim.sim.energy import EnergyMeter


def meter_with(env, *battery_j, transmitted_j=lambda device: 0.0):
    emptied = []

    def on_empty(device):
        emptied.append((env.now, device))

    return EnergyMeter(env, battery_j, on_empty, transmitted_j), emptied


def test_energy_is_power_times_time():
    env = simpy.Environment()
    meter, _ = meter_with(env, None, None)

    def load():
        meter.add_draw(0, 2.0, "compute")
        yield env.timeout(3)
        meter.add_draw(0, 0.5, "compute")
        meter.add_draw(1, 1.0, "compute")
        yield env.timeout(4)
        meter.add_draw(0, -2.5, "compute")
        yield env.timeout(5)

    env.process(load())
    env.run()
    assert meter.used_j(0) == pytest.approx(2.0 * 3 + 2.5 * 4)
    assert meter.used_j(1) == pytest.approx(1.0 * 9)
    assert meter.total_j() == pytest.approx(16 + 9)


def test_battery_empties_at_the_instant_that_the_draw_says():
    env = simpy.Environment()
    meter, emptied = meter_with(env, 10.0)

    def load():
        meter.add_draw(0, 1.0, "compute")  # would empty at 10 s
        yield env.timeout(4)
        meter.add_draw(0, 2.0, "compute")  # 6 J left at 3 W: empties at 6 s
        yield env.timeout(100)

    env.process(load())
    env.run()
    assert emptied == [(pytest.approx(6.0), 0)]
    assert meter.is_empty(0)
    assert meter.used_j(0) == 10.0


def test_a_draw_that_ends_in_time_leaves_the_battery():
    env = simpy.Environment()
    meter, emptied = meter_with(env, 10.0)

    def load():
        meter.add_draw(0, 1.0, "compute")
        yield env.timeout(9.5)
        meter.add_draw(0, -1.0, "compute")

    env.process(load())
    env.run(until=1000)
    assert emptied == []
    assert meter.used_j(0) == pytest.approx(9.5)


def test_a_battery_at_zero_is_empty_from_the_start_and_at_any_draw():
    env = simpy.Environment()
    meter, emptied = meter_with(env, None, 0.0)
    assert [meter.is_empty(0), meter.is_empty(1)] == [False, True]
    meter.add_draw(1, 1.0, "compute")
    env.run()
    assert emptied == [(0.0, 1)]


def test_a_draw_below_zero_is_a_defect():
    env = simpy.Environment()
    meter, _ = meter_with(env, None)
    with pytest.raises(InvariantError, match="below zero"):
        meter.add_draw(0, -1.0, "compute")


def test_used_energy_that_falls_is_a_defect():
    env = simpy.Environment()
    meter, _ = meter_with(env, None)
    meter.add_draw(0, 1.0, "compute")
    env.run(until=2)
    meter._draw_w["compute"][0] = -1.0
    with pytest.raises(InvariantError, match=r"used 0\.0 J, and then -2\.0 J"):
        meter.add_draw(0, 1.0, "compute")


@pytest.mark.parametrize("every", [1.0, 0.25])
@pytest.mark.parametrize("battery_j", [2.0, 2e-6])
def test_a_battery_lasts_as_long_as_the_turns_of_who_transmits(battery_j, every):
    """4 W on for a part of each period: empty when the turns sum to a battery, 1e-9 early at most.

    The periods are of 10 ms, and of a millionth for the millionth battery.
    """
    env = simpy.Environment()
    period_s = 0.01 * battery_j

    def transmitted_j(device):
        turns, within = divmod(env.now / period_s, 1.0)
        return 4.0 * period_s * (turns * every + min(within, every))

    meter, emptied = meter_with(env, battery_j, transmitted_j=transmitted_j)
    meter.may_transmit(0, 4.0)
    env.run()
    periods = battery_j / (4.0 * period_s * every)  # whole ones, or the last ends with its turn
    end_s = period_s * (periods if every == 1.0 else periods - 1 + every)
    assert emptied == [(pytest.approx(end_s, rel=1e-8), 0)]
    assert meter.left_j(0) == pytest.approx(0.0, abs=1e-9 * battery_j)


def test_a_battery_that_nothing_is_taken_from_is_looked_at_and_left():
    env = simpy.Environment()
    meter, emptied = meter_with(env, 1.0)
    meter.may_transmit(0, 4.0)
    env.run(until=10)
    meter.may_transmit(0, 0.0)
    env.run()
    assert emptied == []
    assert meter.left_j(0) == 1.0
