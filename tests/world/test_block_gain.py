"""Gain per resource block: pure in time, reciprocal; its laws are in tests/validation."""

import numpy as np
import pytest
from world_helpers import world_of

from cosim.world.area.disc import Disc
from cosim.world.delay_profile.exponential import Exponential
from cosim.world.delay_profile.tdl import Tdl
from cosim.world.fading.nakagami import Nakagami
from cosim.world.fading.none import NoFading
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.path_loss.log_distance import LogDistance

WALKER = RandomWaypoint(speed_mps=(1.0, 3.0))
AREA = Disc(radius_m=80.0)
OFFSETS_HZ = np.arange(-5, 6) * 0.9e6
CASES = [
    (RayleighJakes(), Exponential(paths=8)),
    (RayleighJakes(), Tdl(profile="A")),
    (RayleighJakes(), Tdl(profile="D")),
    (Rayleigh(coherence_time_s=0.1), Tdl(profile="E")),
]


def world(fading, profile=None, **options):
    channel = options if profile is None else options | {"delay_profile": profile}
    return world_of([WALKER] * 5, AREA, LogDistance(), fading, **channel)


@pytest.mark.parametrize(("fading", "profile"), CASES)
def test_any_order_and_any_chunks_give_the_same_gains(fading, profile):
    low, high = np.triu_indices(5, 1)
    t_s = np.linspace(0.0, 60.0, 61)
    whole = world(fading, profile).block_gain(low[:, None], high[:, None], t_s, OFFSETS_HZ)
    mean = world(fading, profile).gain(low[:, None], high[:, None], t_s)
    assert whole.shape == (10, 61, 11)
    other = world(fading, profile)
    for k in (60, 0, 33, 7):
        at_once = other.block_gain(low, high, t_s[k], OFFSETS_HZ)
        assert np.allclose(at_once, whole[:, k], rtol=1e-11, atol=0.0)
        assert (other.gain(low, high, t_s[k]) == mean[:, k]).all()
    for link in range(10):
        pieces = [
            other.block_gain(low[link], high[link], piece, OFFSETS_HZ)
            for piece in np.split(t_s, [1, 8, 30])
        ]
        assert np.allclose(np.concatenate(pieces), whole[link], rtol=1e-11, atol=0.0)


@pytest.mark.parametrize(("fading", "profile"), CASES)
def test_a_channel_is_the_same_in_both_directions(fading, profile):
    w = world(fading, profile)
    src, dst = np.triu_indices(5, 1)
    there = w.block_gain(src, dst, 33.3, OFFSETS_HZ)
    assert (there == w.block_gain(dst, src, 33.3, OFFSETS_HZ)).all()
    assert np.ptp(there, axis=-1).min() > 0.0
    assert w.is_selective


def test_it_is_the_response_of_the_paths():
    # By hand: the paths of the fading, summed over their delays, times the mean gain.
    profile, fading, t_s = Tdl(profile="C"), RayleighJakes(), np.linspace(0.0, 1.0, 9)
    w = world(fading, profile)
    instant = w._fading_instant(w._look(0, 3, t_s), True)
    taps = profile.taps()
    response = sum(
        np.sqrt(power)
        * fading.amplitude(w._draws, instant, tap)[:, np.newaxis]
        * np.exp(-2j * np.pi * OFFSETS_HZ * delay_s)
        for tap, (power, delay_s) in enumerate(zip(taps.power, taps.delay_s, strict=True))
    )
    expected = w.mean_gain(0, 3, t_s)[:, np.newaxis] * np.abs(response) ** 2
    assert w.block_gain(0, 3, t_s, OFFSETS_HZ) == pytest.approx(expected, rel=1e-9)


def test_gain_is_the_mean_over_a_band_that_holds_whole_periods():
    # Paths at whole multiples of a step: the mean over 1 / step in frequency is the sum over the
    # paths, which is what `gain` returns.
    profile = Exponential(paths=8)
    w = world(RayleighJakes(), profile)
    band_hz = np.arange(64) / 64 / profile.taps().delay_s[1]
    blocks = w.block_gain(0, 1, [3.0, 4.0], band_hz)
    assert blocks.mean(axis=-1) == pytest.approx(w.gain(0, 1, [3.0, 4.0]))


@pytest.mark.parametrize("fading", [RayleighJakes(), Nakagami(), NoFading()])
def test_a_flat_channel_is_the_same_all_over_the_band(fading):
    w = world(fading)
    blocks = w.block_gain([0, 1], [2, 3], [1.0, 2.0], OFFSETS_HZ)
    assert (blocks == w.gain([0, 1], [2, 3], [1.0, 2.0])[:, np.newaxis]).all()
    assert not w.is_selective


def test_shapes_broadcast():
    w = world(RayleighJakes(), Exponential(paths=4))
    everyone = np.arange(5)
    assert w.block_gain(everyone[:, None], everyone, 3.0, OFFSETS_HZ).shape == (5, 5, 11)
    assert w.block_gain(0, 1, 3.0, OFFSETS_HZ[:1]).shape == (1,)
    assert w.block_gain(0, 1, np.zeros((2, 3)), OFFSETS_HZ).shape == (2, 3, 11)


@pytest.mark.parametrize("fading", [Nakagami(), NoFading()])
def test_a_fading_without_a_phase_is_refused(fading):
    with pytest.raises(ValueError, match=r"expected a fading with a phase .* got"):
        world(fading, Exponential())
