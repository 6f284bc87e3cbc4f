"""Large-scale channel against the standards' formulas and closed forms.

The formulas are written here again, in scalars, from the tables that each model names. Sample
sizes are stated at each test. False-alarm rates over seeds: 1e-3 for each Kolmogorov-Smirnov
test, 1e-4 for each two-sided binomial test and each 4 sigma bound.
"""

from math import exp, log10, pi, sqrt

import numpy as np
import pytest
from scipy import stats
from world_helpers import world_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.fading.none import NoFading
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static
from cosim.world.path_loss.base import Geometry
from cosim.world.path_loss.d2d import D2d
from cosim.world.path_loss.inh import Inh
from cosim.world.path_loss.log_distance import LogDistance
from cosim.world.path_loss.two_ray import TwoRay
from cosim.world.path_loss.uma import Uma
from cosim.world.path_loss.umi import Umi
from cosim.world.path_loss.v2v import V2v
from cosim.world.shadowing.gudmundson import Gudmundson
from cosim.world.world import Body, ChannelModels, World

C = 299_792_458.0
CARRIERS_GHZ = [0.7, 3.5, 28.0]
DISTANCES_M = [12.0, 40.0, 137.0, 450.0, 1234.0, 4800.0]


def loss_db(model, ground_m, carrier_ghz, base_m=1.5, terminal_m=1.5, sight=True) -> float:
    distance_m = sqrt(ground_m**2 + (base_m - terminal_m) ** 2)
    geometry = Geometry(
        np.array([distance_m]), carrier_ghz * 1e9, terminal_m, base_m, np.array([sight])
    )
    return model.loss_db(geometry)[0]


def sight_probability(model, ground_m, terminal_m=1.5, base_m=1.5) -> float:
    distance_m = sqrt(ground_m**2 + (base_m - terminal_m) ** 2)
    geometry = Geometry(np.array([distance_m]), 3.5e9, terminal_m, base_m)
    return model.line_of_sight_probability(geometry)[0]


def cell_db(sight, d, f, h_bs, h_ut, los, nlos) -> float:
    """UMi or UMa: los (offset, n, coefficient of the breakpoint), nlos (offset, n, of f, of h)."""
    d3 = sqrt(d**2 + (h_bs - h_ut) ** 2)
    d_bp = 4 * (h_bs - 1) * (h_ut - 1) * f * 1e9 / C
    clear = los[0] + los[1] * log10(d3) + 20 * log10(f)
    if d > d_bp:
        clear = los[0] + 40 * log10(d3) + 20 * log10(f)
        clear -= los[2] * log10(d_bp**2 + (h_bs - h_ut) ** 2)
    blocked = nlos[0] + nlos[1] * log10(d3) + nlos[2] * log10(f) - nlos[3] * (h_ut - 1.5)
    return clear if sight else max(clear, blocked)


@pytest.mark.parametrize("sight", [True, False])
@pytest.mark.parametrize("f", CARRIERS_GHZ)
@pytest.mark.parametrize("h_ut", [1.5, 6.0, 19.5])
def test_umi_and_uma_are_tables_of_38901(measured, sight, f, h_ut):
    for d in DISTANCES_M:
        umi = cell_db(sight, d, f, 10.0, h_ut, (32.4, 21, 9.5), (22.4, 35.3, 21.3, 0.3))
        if h_ut <= 10.0:  # the higher end is the base station
            assert measured(abs(loss_db(Umi(), d, f, 10.0, h_ut, sight) - umi)) < 1e-9
        uma = cell_db(sight, d, f, 25.0, h_ut, (28.0, 22, 9.0), (13.54, 39.08, 20, 0.6))
        assert measured(abs(loss_db(Uma(), d, f, 25.0, h_ut, sight) - uma)) < 1e-9


@pytest.mark.parametrize("f", CARRIERS_GHZ)
def test_inh_is_the_table_of_38901(measured, f):
    for d in (1.0, 2.2, 9.0, 33.0, 149.0):
        clear = 32.4 + 17.3 * log10(d) + 20 * log10(f)
        blocked = 38.3 * log10(d) + 17.30 + 24.9 * log10(f)
        assert measured(abs(loss_db(Inh(), d, f, sight=True) - clear)) < 1e-9
        assert measured(abs(loss_db(Inh(), d, f, sight=False) - max(clear, blocked))) < 1e-9


@pytest.mark.parametrize("f", [5.9, 28.0])
def test_v2v_is_the_table_of_37885(measured, f):
    for d in DISTANCES_M:
        urban = 38.77 + 16.7 * log10(d) + 18.2 * log10(f)
        highway = 32.4 + 20 * log10(d) + 20 * log10(f)
        blocked = 36.85 + 30 * log10(d) + 18.9 * log10(f)
        for environment, clear in (("urban", urban), ("highway", highway)):
            model = V2v(environment=environment, blocked_by="buildings")
            assert measured(abs(loss_db(model, d, f, sight=True) - clear)) < 1e-9
            expected = max(clear, blocked)
            assert measured(abs(loss_db(model, d, f, sight=False) - expected)) < 1e-9
            model = V2v(environment=environment)
            far = max(0.0, 15 * log10(d) - 41)
            for heights, extra in (((1.5, 1.5), 9 + far), ((1.5, 3.0), 5 + far), ((2, 3), 0)):
                distance = sqrt(d**2 - (heights[0] - heights[1]) ** 2)  # d is that in space
                got = loss_db(model, distance, f, *heights, sight=False)
                assert measured(abs(got - clear - extra)) < 1e-9


@pytest.mark.parametrize("f", [0.8, 1.8, 2.0, 5.9])
def test_d2d_is_36843(measured, f):
    for d in (3.0, *DISTANCES_M):
        free = 20 * log10(d) + 46.4 + 20 * log10(f / 5)
        clear = 22.7 * log10(d) + 27 + 20 * log10(f)
        if d >= 4 * 0.8**2 * f * 1e9 / C:
            clear = 40 * log10(d) + 7.56 - 17.3 * log10(0.8) - 17.3 * log10(0.8) + 2.7 * log10(f)
        blocked = (44.9 - 6.55 * log10(1.5)) * log10(d) + 5.83 * log10(1.5) - 5
        blocked += {0.8: 16.33 + 26.16 * log10(f), 5.9: 18.38 + 23 * log10(f)}.get(
            f, 14.78 + 34.97 * log10(f)
        )
        assert measured(abs(loss_db(D2d(), d, f, sight=True) - max(clear, free))) < 1e-9
        assert measured(abs(loss_db(D2d(), d, f, sight=False) - max(blocked, free))) < 1e-9


@pytest.mark.parametrize("heights", [(1.5, 1.5), (1.5, 25.0), (6.0, 10.0)])
@pytest.mark.parametrize("ground", ["perfect", "vertical", "horizontal"])
def test_two_ray_is_the_sum_of_two_rays(measured, heights, ground):
    # Complex amplitudes of the two paths, by their lengths and the Fresnel coefficient.
    h1, h2 = heights
    wavelength = C / 2.4e9
    for d in (3.0, 17.7, 60.0, 333.3, 5000.0):
        direct, reflected = np.hypot(d, h1 - h2), np.hypot(d, h1 + h2)
        sine, cosine = (h1 + h2) / reflected, d / reflected
        root = sqrt(5.0 - cosine**2)
        coefficient = {
            "perfect": -1.0,
            "vertical": (5.0 * sine - root) / (5.0 * sine + root),
            "horizontal": (sine - root) / (sine + root),
        }[ground]
        field = np.exp(-2j * pi * direct / wavelength) / direct
        field += coefficient * np.exp(-2j * pi * reflected / wavelength) / reflected
        expected = -20 * log10(abs(field) * wavelength / (4 * pi))
        model = TwoRay() if ground == "perfect" else TwoRay(permittivity=5.0, polarisation=ground)
        assert measured(abs(loss_db(model, d, 2.4, h2, h1) - expected)) < 1e-5


@pytest.mark.parametrize("f", [0.9, 5.9])
def test_two_ray_far_out_is_forty_log_d(f):
    # Beyond the crossover 4 pi h1 h2 / wavelength the phase p = 4 pi h1 h2 / (wavelength d) is
    # small, and sin(p / 2) / (p / 2) = 1 - p^2 / 24.
    crossover = 4 * pi * 1.5 * 10.0 * f * 1e9 / C
    for times in (3.0, 10.0, 100.0):
        d = times * crossover
        asymptote = 40 * log10(d) - 20 * log10(1.5 * 10.0)
        bend = -20 * log10(1 - 1 / (24 * times**2))
        assert loss_db(TwoRay(), d, f, 10.0, 1.5) == pytest.approx(asymptote + bend, abs=5e-3)
    # At the crossover itself the asymptote meets free space.
    free = 20 * log10(4 * pi * crossover * f * 1e9 / C)
    assert 40 * log10(crossover) - 20 * log10(15.0) == pytest.approx(free, abs=1e-9)


def street(d, k):
    return 1.0 if d <= 18 else 18 / d + exp(-d / k) * (1 - 18 / d)


def uma_high(d, h):
    c = ((h - 13) / 10) ** 1.5
    return 1.0 if d <= 18 else street(d, 63) * (1 + c * 5 / 4 * (d / 100) ** 3 * exp(-d / 150))


def mixed(d):
    if d <= 1.2:
        return 1.0
    return exp(-(d - 1.2) / 4.7) if d < 6.5 else exp(-(d - 6.5) / 32.6) * 0.32


def open_plan(d):
    if d <= 5:
        return 1.0
    return exp(-(d - 5) / 70.8) if d <= 49 else exp(-(d - 49) / 211.7) * 0.54


def highway(d):
    if d <= 475:
        return min(1.0, 2.1013e-6 * d**2 - 0.002 * d + 1.0193)
    return max(0.0, 0.54 - 0.001 * (d - 475))


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (Umi(), lambda d: street(d, 36)),
        (D2d(), lambda d: min(18 / d, 1) * (1 - exp(-d / 36)) + exp(-d / 36)),
        (Uma(), lambda d: street(d, 63)),
        (Inh(), mixed),
        (Inh(office="open"), open_plan),
        (V2v(), lambda d: min(1.0, 1.05 * exp(-0.0114 * d))),
        (V2v(environment="highway"), highway),
    ],
)
def test_probability_of_sight_is_the_tables(model, table):
    for d in (0.5, 1.2, 3.3, 6.4, 12.0, 17.9, 18.1, 48.0, 55.0, 130.0, 480.0, 900.0, 3000.0):
        assert sight_probability(model, d) == pytest.approx(table(d), rel=1e-12, abs=1e-15)


def test_probability_of_sight_of_high_terminals():
    for d in (18.5, 25.0, 100.0, 400.0):
        for h in (14.0, 22.0, 23.0):
            expected = min(uma_high(d, h), 1.0)
            assert sight_probability(Uma(), d, h, 25.0) == pytest.approx(expected, rel=1e-12)


def ring(num, radius_m, path_loss, seed=3, heights_m=(10.0, 1.5), **channel) -> World:
    """Return device 0 in the middle, the base station, and `num` around it at one distance."""
    angle = np.linspace(0.0, 2 * pi, num, endpoint=False)
    points = radius_m * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    places = [(0.0, 0.0), *(tuple(map(float, point)) for point in points)]
    bodies = [Body(Static(position_m=p), heights_m[k > 0]) for k, p in enumerate(places)]
    models = ChannelModels(path_loss, **channel)
    return World(Draws(seed), Disc(radius_m=2 * radius_m), bodies, models)


@pytest.mark.parametrize("radius_m", [15.0, 30.0, 75.0, 200.0])
@pytest.mark.parametrize(
    ("model", "table"),
    [(Umi(), lambda d: street(d, 36)), (Inh(), mixed), (V2v(environment="highway"), highway)],
)
def test_share_of_links_in_sight_is_binomial(measured, model, table, radius_m):
    # n = 3000 links at one distance, exact two-sided binomial test. V2V counts the distance in
    # space, so all stand equally high.
    world = ring(3000, radius_m, model, heights_m=(1.5, 1.5))
    clear = int(np.count_nonzero(world.line_of_sight(0, np.arange(1, 3001), 0.0)))
    assert measured(stats.binomtest(clear, 3000, table(radius_m)), 3000).pvalue > 1e-4


def test_gain_in_the_world_is_that_of_the_state():
    world = ring(500, 90.0, Umi())
    others = np.arange(1, 501)
    clear = world.line_of_sight(0, others, 5.0)
    assert 50 < clear.sum() < 450
    expected = [
        cell_db(sight, 90.0, 3.5, 10.0, 1.5, (32.4, 21, 9.5), (22.4, 35.3, 21.3, 0.3))
        for sight in clear
    ]
    got = -10 * np.log10(world.mean_gain(0, others, 5.0))
    assert np.abs(got - expected).max() < 1e-9


def test_shadowing_is_normal_by_state_of_sight(measured):
    # n about 1900 links in sight and 2100 out of it, at one distance.
    model, others = Umi(), np.arange(1, 4001)
    world = ring(4000, 40.0, model, shadowing=Gudmundson())
    bare = ring(4000, 40.0, model)
    clear = world.line_of_sight(0, others, 0.0)
    assert (clear == bare.line_of_sight(0, others, 0.0)).all()
    shadow_db = 10 * np.log10(bare.mean_gain(0, others, 0.0) / world.mean_gain(0, others, 0.0))
    for state, sigma_db in ((True, 4.0), (False, 7.82)):
        part = shadow_db[clear == state]
        assert part.size > 1500
        assert measured(stats.kstest(part, "norm", args=(0.0, sigma_db)), part.size).pvalue > 1e-3


@pytest.fixture(scope="module")
def walkers() -> World:
    """60 devices at 2 m/s, and 60 that stand, under shadowing of 6 dB over 25 m."""
    mobilities = [RandomWaypoint(speed_mps=(2.0, 2.0))] * 60 + [Static()] * 60
    shadowing = Gudmundson(sigma_db=6.0, decorrelation_m=25.0)
    area = Disc(radius_m=1e4)
    return world_of(mobilities, area, LogDistance(), NoFading(), shadowing=shadowing)


def shadows_db(world, src, dst, t_s) -> np.ndarray:
    distance_m = world.distance_m(src, dst, t_s)
    bare_db = LogDistance().loss_db(Geometry(distance_m, world.carrier_hz))
    return -10 * np.log10(world.mean_gain(src, dst, t_s)) - bare_db


@pytest.mark.parametrize("delta_m", [2.0, 8.0, 25.0, 50.0, 120.0])
def test_shadowing_of_moving_devices_is_gudmundsons(measured, walkers, delta_m):
    # One end moves: n = 3600 links, correlation e^(-delta / 25 m). Both ends move: n = 1770 links,
    # twice the distance. Links that share a walker travel alike, and are independent all the same.
    for src, dst, speed in (
        (np.arange(60)[:, None], np.arange(60, 120), 2.0),
        (*np.triu_indices(60, 1), 4.0),
    ):
        now = shadows_db(walkers, src, dst, 100.0).ravel()
        then = shadows_db(walkers, src, dst, 100.0 + delta_m / speed).ravel()
        expected = exp(-delta_m / 25.0)
        bound = 4 * (1 - expected**2) / sqrt(now.size) + 0.003
        assert measured(abs(np.corrcoef(now, then)[0, 1] - expected), now.size) < bound
        assert measured(abs(now.std() - 6.0), now.size) < 4 * 6.0 / sqrt(2 * now.size)


def test_two_short_walks_are_one_long_walk(measured, walkers):
    # n = 3600 links. Correlations over 10 m, 15 m and both: r = r1 r2, and what two steps leave
    # unexplained by the middle is uncorrelated with the start.
    src, dst = np.arange(60)[:, None], np.arange(60, 120)
    start, middle, end = (shadows_db(walkers, src, dst, t).ravel() for t in (50.0, 55.0, 62.5))
    rest = end - exp(-15 / 25) * middle
    assert measured(abs(np.corrcoef(rest, start)[0, 1]), start.size) < 4 / sqrt(start.size)
    off = abs(rest.var() / 36.0 - (1 - exp(-30 / 25)))
    assert measured(off, start.size) < 4 * sqrt(2 / start.size)


def test_standing_devices_keep_their_shadow(walkers):
    src, dst = np.arange(60, 119), np.arange(61, 120)
    now, later = (walkers.mean_gain(src, dst, t) for t in (0.0, 5000.0))
    assert (now == later).all()
