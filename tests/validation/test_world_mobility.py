"""Random waypoint against its stationary laws in closed form, at the start and after a long time.

Sample sizes are stated at each test; every test's false-alarm rate over seeds is at most 1e-3
(three of a hundred thousand for the 4 sigma bounds).
"""

from functools import cache
from itertools import islice

import numpy as np
import pytest
from scipy import integrate, stats
from world_helpers import member, paths_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility.random_waypoint import RandomWaypoint

NUM_DEVICES = 6000
FALSE_ALARM = 1e-3
RADIUS_M = 100.0
DISC = Disc(radius_m=RADIUS_M)
WALKER = RandomWaypoint(speed_mps=(0.5, 5.0), pause_s=(10.0, 50.0))
RUNNER = RandomWaypoint(speed_mps=(0.5, 5.0))
TIMES_S = (0.0, 40.0, 700.0)  # a leg takes 46 s on average


@cache
def state(mobility: RandomWaypoint, t_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and speeds of all devices."""
    paths = paths_of([mobility] * NUM_DEVICES, DISC, seed=21)
    devices, step_s = np.arange(NUM_DEVICES), 1e-6
    here_m = paths.at(devices, t_s)[:, :2]
    return here_m, np.hypot(*(paths.at(devices, t_s + step_s)[:, :2] - here_m).T) / step_s


def pause_probability(mobility: RandomWaypoint) -> float:
    v0, v1 = mobility.speed_mps
    travel_s = 128 * RADIUS_M / (45 * np.pi) * np.log(v1 / v0) / (v1 - v0)
    pause_s = np.mean(mobility.pause_s)
    return pause_s / (pause_s + travel_s)


@pytest.mark.parametrize("t_s", TIMES_S)
def test_the_fraction_that_pauses(measured, t_s):
    paused = np.count_nonzero(state(WALKER, t_s)[1] < 0.1)
    test = stats.binomtest(paused, NUM_DEVICES, pause_probability(WALKER))
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM


@pytest.mark.parametrize("mobility", [WALKER, RUNNER])
@pytest.mark.parametrize("t_s", TIMES_S)
def test_speed_has_density_one_over_v(measured, mobility, t_s):
    # n = 6000 without pauses, about 3600 of 6000 with.
    speed_mps = state(mobility, t_s)[1]
    moving_mps = speed_mps[speed_mps > 0.1]
    test = stats.kstest(np.log(moving_mps / 0.5) / np.log(10.0), "uniform")
    assert measured(test, moving_mps.size).pvalue > FALSE_ALARM


@pytest.mark.parametrize("t_s", TIMES_S)
def test_the_mean_speed_does_not_decay(measured, t_s):
    # E[V] = (v1 - v0) / ln(v1 / v0), Var from E[V^2] = (v1^2 - v0^2) / (2 ln(v1 / v0)).
    speed_mps = state(RUNNER, t_s)[1]
    mean = 4.5 / np.log(10.0)
    sigma = np.sqrt((25 - 0.25) / (2 * np.log(10.0)) - mean**2)
    assert measured(abs(speed_mps.mean() - mean), NUM_DEVICES) < 4 * sigma / np.sqrt(NUM_DEVICES)


def moving_radius_cdf() -> tuple[np.ndarray, np.ndarray]:
    """P(r < x) in the unit disc of a device under way (Hyytia, Lassila, Virtamo, IEEE TMC 2006).

    Density 45 (1 - r^2) / (64 pi) times the integral over phi from 0 to pi of
    sqrt(1 - r^2 cos^2 phi).
    """
    radius, phi = np.linspace(0.0, 1.0, 2001), np.linspace(0.0, np.pi, 801)
    inner = integrate.simpson(np.sqrt(1 - np.outer(radius, np.cos(phi)) ** 2), x=phi, axis=1)
    density = 45 * (1 - radius**2) / (64 * np.pi) * inner * 2 * np.pi * radius
    return radius, integrate.cumulative_simpson(density, x=radius, initial=0.0)


@pytest.mark.parametrize("mobility", [WALKER, RUNNER])
@pytest.mark.parametrize("t_s", TIMES_S)
def test_position_has_the_known_density(measured, mobility, t_s):
    # Uniform where devices pause, Hyytia's law where they move; n = 6000.
    radius, moving = moving_radius_cdf()
    assert moving[-1] == pytest.approx(1.0, abs=1e-4)
    paused = pause_probability(mobility)
    cdf = paused * radius**2 + (1 - paused) * moving
    distance = np.hypot(*state(mobility, t_s)[0].T) / RADIUS_M
    test = stats.kstest(distance, lambda x: np.interp(x, radius, cdf))
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM
    # The bound can fail: uniform devices would be found out.
    assert stats.kstest(distance, lambda x: x**2).pvalue < 1e-9


def test_position_density_of_a_rectangle_is_that_of_a_long_naive_run(measured):
    # No closed form here: walk one device from a uniform point for 50,000 legs, sample it at
    # random times, and compare with 2000 devices at time 0 (two-sample test in x and in y).
    rng = np.random.default_rng(3)
    area = Rectangle(width_m=200.0, height_m=50.0)
    points_m = (rng.random((50_001, 2)) - 0.5) * (200.0, 50.0)
    speed_mps = rng.uniform(0.5, 5.0, 50_000)
    duration_s = np.stack(
        [np.hypot(*np.diff(points_m, axis=0).T) / speed_mps, rng.uniform(10.0, 50.0, 50_000)], 1
    )
    knots_s = np.concatenate([[0.0], np.cumsum(duration_s)])
    knots_m = np.repeat(points_m, 2, axis=0)[1:]
    sample_s = np.arange(0.5, 1.0, 1e-4) * knots_s[-1]  # 5000, about 500 s apart
    paths = paths_of([WALKER] * 2000, area, seed=22)
    start_m = paths.at(np.arange(2000), 0.0)
    for axis in range(2):
        naive_m = np.interp(sample_s, knots_s, knots_m[:, axis])
        assert measured(stats.ks_2samp(start_m[:, axis], naive_m), 2000).pvalue > FALSE_ALARM


def test_what_is_left_of_a_pause_has_the_equilibrium_law(measured):
    # P(residual > x) = integral from x of P(P > y) dy / E[P], P uniform on (10, 50) s; n ~ 2400.
    starts = [
        next(iter(WALKER.path(Draws(23), member(DISC, device)))) for device in range(NUM_DEVICES)
    ]
    residual_s = np.array([knots.t_s[1] for knots in starts if knots.t_s.size == 2])

    def cdf(x):
        after_10 = 10.0 + ((50.0 - 10.0) ** 2 - (50.0 - x) ** 2) / (2 * 40.0)
        return np.where(x < 10.0, x, after_10) / 30.0

    assert residual_s.size > 2000
    assert measured(stats.kstest(residual_s, cdf), residual_s.size).pvalue > FALSE_ALARM


def test_later_legs_have_uniform_waypoints_and_speeds():
    # Palm: seen at waypoints, points and speeds are uniform again; n = 40 devices x 250 legs.
    stretches = [
        knots
        for device in range(40)
        for knots in islice(RUNNER.path(Draws(24), member(DISC, device)), 1, 6)
    ]
    waypoints_m = np.concatenate([knots.xy_m for knots in stretches])
    assert stats.kstest((np.hypot(*waypoints_m.T) / RADIUS_M) ** 2, "uniform").pvalue > FALSE_ALARM
    speed_mps = np.concatenate(
        [np.hypot(*np.diff(k.xy_m, axis=0).T) / np.diff(k.t_s) for k in stretches]
    )
    assert stats.kstest((speed_mps - 0.5) / 4.5, "uniform").pvalue > FALSE_ALARM
