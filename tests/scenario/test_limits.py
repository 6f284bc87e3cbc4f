"""Numbers that nobody means: each is one message that says the bound and why."""

import pytest

from cosim.limits import BOUNDS
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads

CASES = {
    "payload of 1e18 Gbit": (
        "learning: {pool: {kind: none, payload: 1e18 Gbit}}",
        "learning.pool.payload: expected an amount of data of at most 9.007199255e+15 bit (bits "
        "are counted exactly up to 2^53), got '1e18 Gbit'",
    ),
    "carrier of 1e30 GHz": (
        "channel: {carrier: 1e30 GHz}",
        "channel.carrier: expected a frequency of at most 3e+12 Hz (radio waves end there: ITU "
        "Radio Regulations, No. 1.5), got '1e30 GHz'",
    ),
    "carrier of 50 Hz": (
        "channel: {carrier: 50 Hz}",
        "channel.carrier: expected at least 3000 Hz (the lowest band of the ITU Radio "
        "Regulations, No. 2.1, begins there), got 50 Hz",
    ),
    "bandwidth below what can be told from 0": (
        "spectrum: {bandwidth: 1e-30 Hz}",
        "spectrum.bandwidth: expected a frequency of 0 or at least 0.001 Hz (less cannot be told "
        "from 0), got '1e-30 Hz'",
    ),
    "duration of 1e30 h": (
        "duration: 1e30 h",
        "duration: expected a time of at most 1e+10 s (300 years, which holds any clock of "
        "seconds since 1970), got '1e30 h'",
    ),
    "duration of four years": (
        "duration: 35064 h",
        "duration: expected a time of at most 1e+08 s (three years; later a clock of 64-bit "
        "floats ticks in more than 15 ns), got '35064 h'",
    ),
    "duration of too many rounds": (
        "duration: 1e12 rounds",
        "duration: expected a whole number of rounds, at least 1 and at most 1000000000, got "
        "'1e12 rounds'",
    ),
    "a device at the speed of light": (
        "devices: [{mobility: {kind: random_waypoint, speed: 299792458 m/s}}]",
        "devices.0.mobility.speed: expected a speed of at most 12000 m/s (what is faster than "
        "11.2 km/s leaves the Earth, and Doppler shifts are those of speeds far below that of "
        "light), got '299792458 m/s'",
    ),
    "an area of 1e12 km": (
        "area: {kind: disc, radius: 1e12 km}",
        "area.radius: expected a length of at most 1e+10 m (farther than the Moon: it is 3.8e8 m "
        "away), got '1e12 km'",
    ),
    "an area larger than the Earth": (
        "area: {kind: rectangle, width: 30000 km, height: 1 km}",
        "area: expected an area of at most 2e+07 m from end to end (no two points of the Earth are "
        "farther apart), got 3e+07 m",
    ),
    "1e12 devices": (
        "devices: [{count: 1000000000000}]",
        "devices.0.count: expected at most 1000000 (a hundred times what was measured; all are "
        "held in memory), got 1e+12",
    ),
    "1e9 attempts": (
        "transport: {max_attempts: 1000000000}",
        "transport.max_attempts: expected at most 10000 (who does not want to give up has a "
        "`deadline`), got 1000000000",
    ),
    "no power": (
        "devices: [{radio: {tx_power: 0 W}}]",
        "devices.0.radio.tx_power: expected a power above 0 W, since no power has no level in "
        "dBm (a very low one is `-100 dBm`), got '0 W'",
    ),
    "a level that is no level": (
        "spectrum: {noise_density: -1e6 dBm/Hz}",
        "spectrum.noise_density: expected a noise density of at least -1000 dBm/Hz (a hundred "
        "orders of magnitude), got '-1e6 dBm/Hz'",
    ),
    "a whole number without bounds of its own": (
        "topology: {planner: {kind: agnes, max_cluster_size: 100000000000000000000}}",
        "topology.planner.max_cluster_size: expected a whole number of at most 9007199254740992 "
        "(2^53), got 1e+20",
    ),
    "a number without bounds of its own": (
        "learning: {pool: {kind: none, flops: 1.0e+300}}",
        "learning.pool.flops: expected a number of at most 1e+30, got 1e+300",
    ),
    "a tiny number without bounds of its own": (
        "learning: {pool: {kind: none, flops: 1.0e-300}}",
        "learning.pool.flops: expected 0 or a number of at least 1e-30, got 1e-300",
    ),
    "infinity": (
        "transport: {deadline: inf s}",
        "transport.deadline: expected a time that is finite, got 'inf s'",
    ),
    "not a number": (
        "transport: {deadline: nan s}",
        "transport.deadline: expected a time with its unit (ns, us, ms, s, min, h), got 'nan s'",
    ),
    "infinity without a unit": (
        "learning: {pool: {kind: none, flops: .inf}}",
        "learning.pool.flops: expected a finite number, got inf",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_number_that_nobody_means_is_one_line(name):
    text, message = CASES[name]
    with pytest.raises(ScenarioError) as found:
        loads(text)
    (problem,) = found.value.problems
    assert f"{problem.path}: {problem.message}" == message


@pytest.mark.parametrize("unit", BOUNDS)
def test_bounds_hold_at_both_ends_and_for_both_signs(unit):
    bound = BOUNDS[unit]
    for value in (0.0, bound.least, bound.most, -bound.least, -bound.most):
        assert bound.broken_by(value, unit) is None
    above = bound.broken_by(1.001 * bound.most, unit)
    below = bound.broken_by(-1.001 * bound.most, unit)
    assert above is not None
    assert above.startswith("at most ")
    assert below is not None
    assert below.startswith("at least -")
    assert bound.why in above


@pytest.mark.parametrize(
    "text",
    [
        "channel: {carrier: 100 MHz}",
        "channel: {carrier: 1000 GHz}",
        "devices: [{count: 3, mobility: {kind: random_waypoint, speed: 7800 m/s}}]\n"
        "area: {kind: disc, radius: 1000 km}\nduration: 1 s",
        "duration: 31536000 s",
        "devices: [{mobility: {kind: static, position: [1e-15 m, -4e-300 m]}}]",
        "transport: {deadline: 1e9 s}",
    ],
)
def test_what_somebody_may_want_is_good(text):
    assert loads(text).scenario
