"""Energy against sums by hand; batteries that run out at the very instant."""

import pytest
import simpy

from cosim.sim.check import InvariantError
from cosim.sim.energy import EnergyMeter


def meter_with(env, *battery_j):
    emptied = []
    return EnergyMeter(env, battery_j, lambda device: emptied.append((env.now, device))), emptied


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
