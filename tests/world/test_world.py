"""The world: pure in time, reciprocal, and made of the parts it is given."""

import subprocess
import sys

import numpy as np
import pytest
from world_helpers import world_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.fading.none import NoFading
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static
from cosim.world.path_loss.log_distance import LogDistance
from cosim.world.world import MEAN_GAIN_STEP_M, World

AREA = Disc(radius_m=80.0)
WALKER = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 5.0))
CARRIER_HZ = 3.5e9
FADINGS = [NoFading(), Rayleigh(coherence_time_s=0.1), RayleighJakes()]


def world(fading=FADINGS[2], num_walkers=6, num_fixed=2, seed=1, **options) -> World:
    mobilities = [WALKER] * num_walkers + [Static()] * num_fixed
    return world_of(mobilities, AREA, LogDistance(), fading, CARRIER_HZ, seed, **options)


def test_positions_and_tracks_agree():
    one, two = world(), world()
    t_s = np.linspace(0.0, 300.0, 61)
    tracks = two.tracks_m(np.arange(8)[:, None], t_s)
    assert one.num_devices == 8
    for k, t in enumerate(t_s):
        positions = one.positions_m(t)
        assert positions.shape == (8, 2)
        assert (positions == tracks[:, k]).all()
        assert AREA.contains(positions).all()


def test_the_caller_may_write_into_what_it_got():
    w = world()
    before = w.positions_m(3.0).copy()
    w.positions_m(3.0)[:] = 0.0
    w.tracks_m(0, [3.0])[:] = 0.0
    assert (w.positions_m(3.0) == before).all()


@pytest.mark.parametrize("fading", FADINGS)
def test_any_order_and_any_chunks_give_identical_gains(fading):
    # 8 devices, 28 links, 203 times: all at once, time by time backwards, link by link in pieces,
    # and link by link shuffled, each in a world of its own.
    low, high = np.triu_indices(8, 1)
    t_s = np.linspace(0.0, 150.0, 203)
    expected = world(fading).gain(low[:, None], high[:, None], t_s)
    by_time = world(fading)
    for k in reversed(range(t_s.size)):
        assert (by_time.gain(low, high, t_s[k]) == expected[:, k]).all()
    by_link, shuffled = world(fading), world(fading)
    order = np.random.default_rng(0).permutation(t_s.size)
    for link in range(low.size):
        ends = low[link], high[link]
        pieces = [by_link.gain(*ends, piece) for piece in np.split(t_s, [1, 3, 10, 110, 199])]
        assert (np.concatenate(pieces) == expected[link]).all()
        assert (shuffled.gain(*ends, t_s[order]) == expected[link, order]).all()
        assert all(by_link.gain(*ends, t_s[k]) == expected[link, k] for k in range(0, 203, 29))


@pytest.mark.parametrize("fading", FADINGS)
def test_a_channel_is_the_same_in_both_directions(fading):
    w = world(fading)
    src, dst = np.triu_indices(8, 1)
    assert (w.gain(src, dst, 33.3) == w.gain(dst, src, 33.3)).all()
    assert (w.doppler_cycles(src, dst, 33.3) == w.doppler_cycles(dst, src, 33.3)).all()


def test_a_seed_is_a_world():
    t_s = np.linspace(0.0, 60.0, 40)
    assert (world(seed=1).gain(0, 1, t_s) == world(seed=1).gain(0, 1, t_s)).all()
    assert (world(seed=1).gain(0, 1, t_s) != world(seed=2).gain(0, 1, t_s)).all()


def test_more_devices_or_another_fading_leave_the_others_where_they_are():
    t_s = np.linspace(0.0, 60.0, 40)
    few, many = world(num_fixed=0), world(num_fixed=40)
    assert (few.gain(0, 5, t_s) == many.gain(0, 5, t_s)).all()
    faded, plain = world(FADINGS[1]), world(FADINGS[0])
    assert (faded.mean_gain(0, 1, t_s) == plain.gain(0, 1, t_s)).all()


def test_gain_is_mean_gain_times_fading():
    w, t_s = world(FADINGS[1]), np.linspace(0.0, 10.0, 300)
    block = (t_s / 0.1 * (1 + 1e-12)).astype(int)
    faded = -np.log(1 - Draws(1).uniform("rayleigh", 2, 5, block))
    assert w.gain(5, 2, t_s) / w.mean_gain(5, 2, t_s) == pytest.approx(faded)


def test_mean_gain_is_the_path_loss_of_the_distance():
    w = world()
    a, b = w.positions_m(20.0)[[1, 4]]
    distance_m = np.hypot(*(a - b))
    reference = (299_792_458.0 / CARRIER_HZ / (4 * np.pi)) ** 2
    assert w.distance_m(1, 4, 20.0) == pytest.approx(distance_m)
    assert w.mean_gain(1, 4, 20.0) == pytest.approx(reference * distance_m**-2.7)


def test_arguments_broadcast():
    w = world()
    everyone = np.arange(8)
    table = w.gain(everyone[:, None], everyone[None, :], 4.0)
    assert table.shape == (8, 8)
    assert (table == table.T).all()
    assert w.gain(everyone[:, None], 3, [0.0, 1.0]).shape == (8, 2)
    assert w.gain(0, 1, 2.0).shape == ()
    assert w.gain([], [], 2.0).shape == (0,)
    assert w.gain(0, 1, []).shape == (0,)
    assert w.distance_m(3, 3, 2.0) == 0.0
    assert np.isfinite(table).all()


def test_fading_does_not_go_back_to_its_start_within_an_hour():
    w = world()
    t_s = np.linspace(0.0, 3600.0, 2000)
    assert np.ptp(w.gain(6, 7, t_s)) == 0.0  # two fixed devices
    relative = w.gain(0, 1, t_s) / w.mean_gain(0, 1, t_s)
    assert np.unique(relative).size > 1900


def test_samples_follow_the_fading_and_the_motion():
    shift_hz = 6.0 / (299_792_458.0 / CARRIER_HZ)  # two walkers, 3 m/s each, head on
    w = world(RayleighJakes())
    assert w.sample_interval_s(0, 1) == pytest.approx(1 / (8 * shift_hz))
    assert w.sample_interval_s(0, 7) == pytest.approx(2 / (8 * shift_hz))
    assert w.sample_interval_s(6, 7) == w.sample_interval_s(0, 0) == np.inf
    assert world(NoFading()).sample_interval_s(0, 1) == pytest.approx(MEAN_GAIN_STEP_M / 6.0)
    assert world(NoFading()).sample_interval_s(6, 7) == np.inf
    assert world(Rayleigh(coherence_time_s=0.1)).sample_interval_s(0, 1) == 0.1
    assert world(sample_interval_s=0.25).sample_interval_s(0, 1) == 0.25


def test_the_finest_interval_is_that_with_the_fastest_other():
    w = world(RayleighJakes())
    for device in range(w.num_devices):
        others = [other for other in range(w.num_devices) if other != device]
        finest_s = min(w.sample_interval_s(device, other) for other in others)
        assert w.finest_sample_interval_s(device) == finest_s


def test_the_strongest_is_heard_best_without_fading():
    w, candidates = world(RayleighJakes()), np.array([1, 3, 6, 7])
    gains = [w.mean_gain(0, other, 5.0) for other in candidates.tolist()]
    assert w.strongest(0, candidates, 5.0) == candidates[int(np.argmax(gains))]


def test_slow_blocks_are_sampled_often_enough_for_the_mean_and_at_every_block():
    w = world(Rayleigh(coherence_time_s=2.0))  # the distance may change by 12 m in a block
    interval_s = w.sample_interval_s(0, 1)
    assert interval_s == pytest.approx(2.0 / 12)
    samples_s = np.arange(600) * interval_s
    relative = w.gain(0, 1, samples_s) / w.mean_gain(0, 1, samples_s)
    assert np.allclose(relative.reshape(50, 12), relative[::12, None])


@pytest.mark.parametrize("range_m", [0.5, 20.0, 300.0])
def test_neighbours_are_those_that_brute_force_finds(range_m):
    w = world(num_walkers=60, num_fixed=20)
    for t in (0.0, 50.0):
        low, high = w.neighbours(t, range_m)
        first, second = np.triu_indices(80, 1)
        near = w.distance_m(first, second, t) <= range_m
        assert (low == first[near]).all()
        assert (high == second[near]).all()
        assert low.dtype == high.dtype == np.int64


def test_neighbours_of_one_device_or_none():
    for count in (0, 1):
        low, high = world(num_walkers=count, num_fixed=0).neighbours(0.0, 10.0)
        assert low.shape == high.shape == (0,)


@pytest.mark.parametrize("t_s", [-1.0, np.nan, np.inf, [0.0, -0.5]])
def test_impossible_times_are_refused(t_s):
    with pytest.raises(ValueError, match="expected finite times from 0 s on, got"):
        world().gain(0, 1, t_s)


@pytest.mark.parametrize(("device", "named"), [(8, "8"), (-1, "-1")])
def test_devices_that_do_not_exist_are_refused(device, named):
    with pytest.raises(ValueError, match=f"expected devices 0 to 7, got {named}"):
        world().gain(0, device, 1.0)


@pytest.mark.parametrize("options", [{"carrier_hz": 0.0}, {"sample_interval_s": 0.0}])
def test_impossible_settings_are_refused(options):
    settings = {"carrier_hz": CARRIER_HZ, "sample_interval_s": None} | options
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected a number above 0"):
        world_of([Static()], AREA, LogDistance(), NoFading(), **settings)


def test_importing_the_world_and_its_kinds_loads_no_scipy():
    code = (
        "import sys; from cosim.plugin import find, kinds; import cosim.world.world\n"
        "for family in ('area', 'mobility', 'path_loss', 'fading', 'compute'):\n"
        "    for kind in kinds(family): find(family, kind)\n"
        "sys.exit(any(name in sys.modules for name in ('scipy', 'torch', 'simpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_links_with_times_of_their_own_and_single_numbers_give_the_same():
    w, low, high = world(), *np.triu_indices(8, 1)
    t_s = 200.0 * np.random.default_rng(3).random((low.size, 9))
    flat = w.gain(np.repeat(low, 9), np.repeat(high, 9), t_s.ravel()).reshape(t_s.shape)
    for k, (src, dst) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        assert (world().gain(src, dst, t_s[k]) == flat[k]).all()
        assert w.distance_m(src, dst, float(t_s[k, 0])) == w.distance_m([dst], [src], t_s[k, 0])[0]


def test_many_times_of_a_link_are_the_same_at_once_and_in_pieces():
    w, t_s = world(), np.linspace(0.0, 300.0, 20_011)
    pieces = [world().mean_gain(0, 1, piece) for piece in np.array_split(t_s, 9)]
    assert (w.mean_gain(0, 1, t_s) == np.concatenate(pieces)).all()
    assert (w.mean_gain(0, 1, t_s[::-1]) == np.concatenate(pieces)[::-1]).all()
