"""Mobility models against their laws in closed form, at the start and after a long time.

Sample sizes are stated at each test; every test's false-alarm rate over seeds is at most 1e-3
(for the 4 sigma bounds 6e-5).
"""

from functools import cache
from itertools import islice

import numpy as np
import pytest
from scipy import stats
from world_helpers import member, paths_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.area.rectangle import Rectangle
from cosim.world.mobility._streets import streets_of
from cosim.world.mobility.circular import Circular
from cosim.world.mobility.gauss_markov import GaussMarkov
from cosim.world.mobility.group import Group
from cosim.world.mobility.manhattan import Manhattan
from cosim.world.mobility.random_direction import RandomDirection
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static

FALSE_ALARM = 1e-3
NUM_DEVICES = 4000
DISC = Disc(radius_m=100.0)
RECTANGLE = Rectangle(width_m=200.0, height_m=60.0)
WIDE = Rectangle(width_m=1e9, height_m=1e9)  # no border is met
TIMES_S = (0.0, 40.0, 600.0)


@cache
def paths(mobility, area):
    return paths_of([mobility] * NUM_DEVICES, area, seed=31)


def state(mobility, area, t_s: float):
    """Return positions and velocities of all devices."""
    devices, step_s = np.arange(NUM_DEVICES), 1e-6
    here_m = paths(mobility, area).at(devices, t_s)[:, :2]
    return here_m, (paths(mobility, area).at(devices, t_s + step_s)[:, :2] - here_m) / step_s


# --- What every model promises -------------------------------------------------------------------

MODELS = [
    Static(placement="grid"),
    RandomDirection(speed_mps=(0.0, 5.0), travel_time_s=(1.0, 40.0), pause_s=(0.0, 10.0)),
    GaussMarkov(mean_speed_mps=5.0, deviation_mps=3.0),
    Manhattan(block_width_m=25.0, block_height_m=20.0, speed_mps=(1.0, 14.0)),
    Circular(radius_m=25.0, speed_mps=(1.0, 14.0)),
    Group(leader=RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 9.0)), radius_m=8.0),
]


@pytest.mark.parametrize("area", [DISC, RECTANGLE])
@pytest.mark.parametrize("mobility", MODELS)
def test_paths_start_at_zero_never_go_back_stay_inside_and_below_the_bound(mobility, area):
    # 30 devices x about 1000 knots; no chance of a false alarm.
    most_mps = mobility.max_speed_mps(member(area))
    for device in range(30):
        path = list(islice(mobility.path(Draws(8), member(area, device, 30)), 8))
        t_s = np.concatenate([knots.t_s for knots in path])
        xy_m = np.concatenate([knots.xy_m for knots in path])
        assert t_s[0] == 0.0
        assert (np.diff(t_s) >= 0.0).all()
        assert area.contains(xy_m).all()
        moved_m = np.hypot(*np.diff(xy_m, axis=0).T)
        assert (moved_m <= most_mps * np.diff(t_s) + 1e-9).all()


@pytest.mark.parametrize("mobility", MODELS)
def test_reading_further_changes_nothing(mobility):
    # What was yielded stays, a second reading is equal, and so is one device read without others.
    draws, place = Draws(8), member(DISC, 3, 30)
    path = mobility.path(draws, place)
    early = list(islice(path, 3))
    copies = [(knots.t_s.copy(), knots.xy_m.copy()) for knots in early]
    list(islice(path, 4))
    for knots, (t_s, xy_m) in zip(early, copies, strict=True):
        assert (knots.t_s == t_s).all()
        assert (knots.xy_m == xy_m).all()
    again = list(islice(mobility.path(draws, place), 3))
    for first, second in zip(early, again, strict=True):
        assert (first.t_s == second.t_s).all()
        assert (first.xy_m == second.xy_m).all()


# --- Uniform positions: random direction and Gauss-Markov ----------------------------------------

WALKER = RandomDirection(speed_mps=(0.5, 5.0), travel_time_s=(10.0, 50.0), pause_s=(10.0, 30.0))
RUNNER = RandomDirection(speed_mps=(0.5, 5.0), travel_time_s=(10.0, 50.0))
DRIFTER = GaussMarkov(mean_speed_mps=2.0, deviation_mps=1.0, memory=0.9, step_s=8.0)


@pytest.mark.parametrize("mobility", [WALKER, RUNNER, DRIFTER])
@pytest.mark.parametrize("t_s", TIMES_S)
def test_positions_are_uniform_in_a_disc(measured, mobility, t_s):
    # Kolmogorov-Smirnov on r^2 and on the angle, n = 4000.
    x, y = state(mobility, DISC, t_s)[0].T
    test = stats.kstest((x**2 + y**2) / 100.0**2, "uniform")
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM / 2
    assert stats.kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform").pvalue > FALSE_ALARM / 2


@pytest.mark.parametrize("mobility", [WALKER, RUNNER, DRIFTER])
@pytest.mark.parametrize("t_s", TIMES_S)
def test_positions_are_uniform_in_a_rectangle(measured, mobility, t_s):
    # Kolmogorov-Smirnov on x and on y, n = 4000.
    x, y = state(mobility, RECTANGLE, t_s)[0].T
    test = stats.kstest(x / 200.0 + 0.5, "uniform")
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM / 2
    assert stats.kstest(y / 60.0 + 0.5, "uniform").pvalue > FALSE_ALARM / 2


@pytest.mark.parametrize("mobility", [WALKER, RUNNER, DRIFTER])
@pytest.mark.parametrize("area", [DISC, RECTANGLE])
def test_the_direction_is_uniform_and_independent_of_the_place(mobility, area):
    # At 600 s: direction relative to the bearing of the place; n = 4000, about 2400 of it moving
    # with pauses. It fails for a border that holds walkers back or sends them to the middle.
    here_m, velocity_mps = state(mobility, area, 600.0)
    moving = np.hypot(*velocity_mps.T) > 0.01
    (x, y), (vx, vy) = here_m[moving].T, velocity_mps[moving].T
    relative = (np.arctan2(vy, vx) - np.arctan2(y, x)) / (2 * np.pi) % 1.0
    if area is RECTANGLE:  # bearings are no symmetry of it; directions are
        relative = np.arctan2(vy, vx) / (2 * np.pi) % 1.0
    assert stats.kstest(relative, "uniform").pvalue > FALSE_ALARM


# --- Random direction ----------------------------------------------------------------------------


@pytest.mark.parametrize("mobility", [WALKER, RUNNER])
@pytest.mark.parametrize("t_s", TIMES_S)
def test_random_direction_speed_is_uniform_at_all_times(measured, mobility, t_s):
    # No decay: speeds of those who move are uniform on their range; n about 2400 or 4000.
    speed_mps = np.hypot(*state(mobility, DISC, t_s)[1].T)
    moving_mps = speed_mps[speed_mps > 0.1]
    test = stats.kstest((moving_mps - 0.5) / 4.5, "uniform")
    assert measured(test, moving_mps.size).pvalue > FALSE_ALARM


@pytest.mark.parametrize("t_s", TIMES_S)
def test_random_direction_pauses_for_its_share_of_time(measured, t_s):
    # E[P] / (E[P] + E[T]) = 20 / 50; binomial test, n = 4000.
    paused = np.count_nonzero(np.hypot(*state(WALKER, DISC, t_s)[1].T) < 0.1)
    test = stats.binomtest(paused, NUM_DEVICES, 20.0 / 50.0)
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM


def equilibrium_cdf(least: float, most: float):
    """P(residual <= x) = integral from 0 to x of P(D > y) dy / E[D], D uniform on the bounds."""

    def cdf(x):
        tail = ((most - least) ** 2 - (most - x) ** 2) / (2 * (most - least))
        return np.where(x < least, x, least + tail) / ((least + most) / 2)

    return cdf


def test_random_direction_starts_with_residual_times():
    # Kolmogorov-Smirnov, n about 2400 residual travels and 1600 residual pauses.
    travels, pauses = [], []
    for device in range(NUM_DEVICES):
        path = WALKER.path(Draws(32), member(WIDE, device))
        next(path)
        first, second = next(path).t_s[:2]
        (pauses if first == 0.0 else travels).append(second if first == 0.0 else first)
    assert len(travels) > 2200
    assert len(pauses) > 1400
    assert stats.kstest(travels, equilibrium_cdf(10.0, 50.0)).pvalue > FALSE_ALARM / 2
    assert stats.kstest(pauses, equilibrium_cdf(10.0, 30.0)).pvalue > FALSE_ALARM / 2


# --- Gauss-Markov --------------------------------------------------------------------------------


@pytest.mark.parametrize("t_s", TIMES_S)
def test_gauss_markov_speed_has_the_law_of_rice_from_the_start_and_at_borders(measured, t_s):
    # |(mu + sigma N, sigma N')| in an area that is crossed in 40 s; KS, n = 4000. What is
    # shortened, less than 3.4e-4 of the steps, is far below what n can resolve (0.03).
    speed_mps = np.hypot(*state(DRIFTER, RECTANGLE, t_s)[1].T)
    test = stats.kstest(speed_mps, stats.rice(2.0, scale=1.0).cdf)
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM


def velocities_mps(mobility: GaussMarkov, seed: int) -> np.ndarray:
    """Return the velocity of each device at each step where no border is met, [4000, 120, 2]."""
    at_m = [
        np.concatenate(
            [knots.xy_m for knots in islice(mobility.path(Draws(seed), member(WIDE, device)), 5)]
        )
        for device in range(NUM_DEVICES)
    ]
    return np.diff(np.stack(at_m), axis=1)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.95])
def test_gauss_markov_variance_and_correlation_of_velocities_lag_steps_apart(measured, memory):
    # mu = 0: each component in the plane is N(0, sigma^2) at every step, and two of them k steps
    # apart are correlated by a^k. 4000 devices x 2 components = 8000 independent pairs, at steps 0
    # and 90: E = sigma^2 a^k, the mean's standard deviation sigma^2 sqrt((1 + a^2k) / 8000).
    sigma = 2.0
    mobility = GaussMarkov(mean_speed_mps=0.0, deviation_mps=sigma, memory=memory)
    velocity_mps = velocities_mps(mobility, seed=33)
    for begin in (0, 90):
        first = velocity_mps[:, begin]
        assert stats.kstest(first.ravel() / sigma, "norm").pvalue > FALSE_ALARM / 2
        for lag in (0, 1, 2, 5, 20):
            correlation = memory**lag
            # Shortening to 4 sigma takes exp(-8) sigma^2 = 3e-4 sigma^2 of the variance at most.
            error = np.mean(first * velocity_mps[:, begin + lag]) / sigma**2 - correlation
            bound = 4 * np.sqrt((1 + correlation**2) / (2 * NUM_DEVICES)) + 4e-4
            assert measured(abs(error), 2 * NUM_DEVICES) < bound


def test_gauss_markov_mean_direction_keeps(measured):
    # E[v_0 . v_k] = mu^2 + 2 sigma^2 a^k: what is remembered for ever is the mean. n = 4000, the
    # dot product's variance 2 (1 + r^2) sigma^4 + 2 mu^2 sigma^2 (1 + r), r = a^k.
    mu, sigma, memory = 3.0, 1.0, 0.8
    mobility = GaussMarkov(mean_speed_mps=mu, deviation_mps=sigma, memory=memory)
    velocity_mps = velocities_mps(mobility, seed=34)
    for lag in (1, 3, 100):
        r = memory**lag
        mean = np.mean(np.sum(velocity_mps[:, 0] * velocity_mps[:, lag], axis=1))
        deviation = np.sqrt((2 * (1 + r**2) * sigma**4 + 2 * mu**2 * sigma**2 * (1 + r)) / 4000)
        assert measured(abs(mean - mu**2 - 2 * sigma**2 * r), NUM_DEVICES) < 4 * deviation


# --- Manhattan -----------------------------------------------------------------------------------

URBAN = Rectangle(width_m=1299.0, height_m=750.0)  # TR 36.885: three blocks by three
CAR = Manhattan(speed_mps=(5.0, 15.0))


def test_manhattan_turns_as_often_as_given(measured):
    # 20 devices x about 1500 crossings in the 3 x 3 grid, exact binomial tests: at full crossings
    # straight 0.4, left 0.35, right 0.25; at crossings of three arms 1/2 for each of two ways.
    mobility = Manhattan(left=0.35, right=0.25)
    counts = {"full": [0, 0, 0], "border": [0, 0]}
    for device in range(20):
        path = islice(mobility.path(Draws(35), member(URBAN, device)), 10)
        xy_m = np.concatenate([knots.xy_m for knots in path])[1:]
        step = np.sign(np.round(np.diff(xy_m, axis=0)))
        cross = step[:-1, 0] * step[1:, 1] - step[:-1, 1] * step[1:, 0]
        at_x = np.abs(xy_m[1:-1, 0]) > 600.0
        at_y = np.abs(xy_m[1:-1, 1]) > 350.0
        for turn, number in ((0, 0), (1, 1), (-1, 2)):
            counts["full"][number] += np.count_nonzero((cross == turn) & ~at_x & ~at_y)
        # Who is at three arms leaves along the border or into the grid.
        along = np.where(at_x, step[1:, 1] != 0, step[1:, 0] != 0)
        came_along = np.where(at_x, step[:-1, 1] != 0, step[:-1, 0] != 0)
        three = (at_x != at_y) & came_along
        counts["border"][0] += np.count_nonzero(three & along)
        counts["border"][1] += np.count_nonzero(three & ~along)
    total = sum(counts["full"])
    assert total > 5000
    for count, probability in zip(counts["full"], (0.4, 0.35, 0.25), strict=True):
        # Successive turns are independent draws, so the counts are binomial given their number.
        test = stats.binomtest(count, total, probability)
        assert measured(test, total).pvalue > FALSE_ALARM / 4
    border = counts["border"]
    assert stats.binomtest(border[0], sum(border), 0.5).pvalue > FALSE_ALARM / 4


@pytest.mark.parametrize("t_s", TIMES_S)
def test_manhattan_positions_are_on_the_streets_and_uniform_along_them(measured, t_s):
    # Chi-square over the 24 streets between crossings by their lengths, and KS along them,
    # n = 4000. In 600 s a car drives about 16 blocks, in a grid of three by three.
    here_m = state(CAR, URBAN, t_s)[0]
    column, row = (here_m[:, 0] + 649.5) / 433.0, (here_m[:, 1] + 375.0) / 250.0
    on_x = np.abs(row - np.round(row)) < 1e-9
    on_y = np.abs(column - np.round(column)) < 1e-9
    assert (on_x | on_y).all()
    streets = [
        np.count_nonzero(on_x & (np.round(row) == r) & (np.floor(column) == c))
        for r in range(4)
        for c in range(3)
    ] + [
        np.count_nonzero(on_y & (np.round(column) == c) & (np.floor(row) == r))
        for r in range(3)
        for c in range(4)
    ]
    length_m = np.repeat([433.0, 250.0], 12)
    expected = NUM_DEVICES * length_m / length_m.sum()
    assert measured(stats.chisquare(streets, expected), NUM_DEVICES).pvalue > FALSE_ALARM / 2
    along = np.where(on_x, column, row) % 1.0
    assert measured(stats.kstest(along, "uniform"), NUM_DEVICES).pvalue > FALSE_ALARM / 2


@pytest.mark.parametrize("t_s", TIMES_S)
def test_manhattan_speed_has_density_one_over_v_and_both_ways_are_equal(measured, t_s):
    # n = 4000: KS on ln v, binomial test on the way along the street.
    velocity_mps = state(CAR, URBAN, t_s)[1]
    speed_mps = np.hypot(*velocity_mps.T)
    test = stats.kstest(np.log(speed_mps / 5.0) / np.log(3.0), "uniform")
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM / 2
    forwards = np.count_nonzero(velocity_mps.sum(axis=1) > 0.0)
    assert (
        measured(stats.binomtest(forwards, NUM_DEVICES, 0.5), NUM_DEVICES).pvalue > FALSE_ALARM / 2
    )


def test_manhattan_law_is_uniform_in_a_disc_with_dead_ends_too():
    # 13 crossings and 16 streets of 100 m, four of them dead ends: chi-square at 600 s, n = 4000.
    mobility = Manhattan(block_width_m=100.0, block_height_m=100.0, speed_mps=(5.0, 15.0))
    area = Disc(radius_m=200.0)
    here_m = state(mobility, area, 600.0)[0]
    streets = streets_of(area, (100.0, 100.0))
    middles_m = np.array(
        [
            (streets.crossings_m[crossing] + streets.crossings_m[streets.next[crossing, heading]])
            / 2
            for crossing, heading in zip(*np.nonzero(streets.next[:, :2] >= 0), strict=True)
        ]
    )
    assert middles_m.shape == (16, 2)
    nearest = np.abs(here_m[:, np.newaxis] - middles_m).sum(axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=16)
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


# --- Circular ------------------------------------------------------------------------------------


@pytest.mark.parametrize("t_s", TIMES_S)
def test_circular_phases_are_uniform_at_all_times(measured, t_s):
    # KS, n = 4000. The deviation and the period hold for certain: tests/world.
    x, y = state(Circular(radius_m=25.0), DISC, t_s)[0].T
    test = stats.kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform")
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM


# --- Group ---------------------------------------------------------------------------------------


def offset_cdf(distance: np.ndarray) -> np.ndarray:
    """P(|(1 - F) O + F O'| <= d), F uniform on [0, 1], O and O' uniform in the unit disc.

    Given F and b = F |O'|, it is the share of the disc of radius a = 1 - F about a point b away
    that is in the disc of radius d: their lens (Weisstein, "Circle-circle intersection").
    """
    nodes, weights = np.polynomial.legendre.leggauss(60)
    nodes, weights = (nodes + 1) / 2, weights / 2
    # |O'| has density 2 s; F and 1 - F alike, so F up to 1/2 suffices.
    f, s = np.meshgrid(nodes / 2, nodes, indexing="ij")
    weight = np.outer(weights, weights * 2 * nodes)
    a, b = 1 - f, f * s

    def lens(d):
        near = np.clip((b**2 + d**2 - a**2) / (2 * b * d), -1, 1)
        far = np.clip((b**2 + a**2 - d**2) / (2 * b * a), -1, 1)
        kite = (-b + d + a) * (b + d - a) * (b - d + a) * (b + d + a)
        return d**2 * np.arccos(near) + a**2 * np.arccos(far) - np.sqrt(np.maximum(kite, 0)) / 2

    return np.array([np.sum(weight * lens(d) / (np.pi * a**2)) for d in distance])


@pytest.mark.parametrize("t_s", [0.0, 33.3, 600.0])
def test_group_offsets_are_bounded_and_have_their_law_at_all_times(measured, t_s):
    # The reference stays at the middle; KS, n = 4000.
    mobility = Group(leader=Static(position_m=(0.0, 0.0)), radius_m=10.0, renew_s=10.0)
    distance = np.hypot(*state(mobility, DISC, t_s)[0].T) / 10.0
    assert distance.max() <= 1.0
    grid = np.linspace(0.005, 1.0, 200)
    cdf = offset_cdf(grid)
    assert cdf[-1] == pytest.approx(1.0, abs=1e-6)
    test = stats.kstest(distance, lambda d: np.interp(d, np.append(0.0, grid), np.append(0.0, cdf)))
    assert measured(test, NUM_DEVICES).pvalue > FALSE_ALARM
    # The bound can fail: offsets uniform in the disc would be found out.
    assert stats.kstest(distance, lambda d: d**2).pvalue < 1e-9
