"""Frequency selectivity against its closed forms: power, correlation over frequency and time.

For a channel with the power delay profile p(tau) the correlation over frequency is its Fourier
transform R(f) = sum p_l e^(-j 2 pi f tau_l), and that over a Doppler phase of D cycles J0(2 pi D).
False-alarm rates over seeds: 1e-3 for each Kolmogorov-Smirnov test, 1e-4 for each 4 sigma bound.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import j0
from world_helpers import world_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.delay_profile.exponential import Exponential
from cosim.world.delay_profile.tdl import Tdl
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.fading.rician import Rician
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static
from cosim.world.path_loss.log_distance import LogDistance

FALSE_ALARM = 1e-3
LINKS = np.triu_indices(200, 1)  # 19,900 links
OFFSETS_HZ = np.array([-5e6, -4.8e6, -4e6, -2e6, 0.0, 5e6, 13e6])
DRAWS = Draws(61)
SPREAD_S = 1e-7
K = 2.0
# Fading, profile, and the K-factor of the whole channel, which is in its first path.
CASES = {
    "jakes, exponential": (RayleighJakes(), Exponential(delay_spread_s=SPREAD_S), 0.0),
    "jakes, A": (RayleighJakes(), Tdl(profile="A", delay_spread_s=SPREAD_S), 0.0),
    "blocks, C": (Rayleigh(), Tdl(profile="C", delay_spread_s=SPREAD_S), 0.0),
    "jakes, D": (RayleighJakes(), Tdl(profile="D", delay_spread_s=SPREAD_S), None),
    "rician, B": (Rician(k_db=10 * np.log10(K)), Tdl(profile="B", delay_spread_s=SPREAD_S), K),
}


def channel(name):
    """Return the paths [links, L] at one instant, the profile, and LOS and scattered power."""
    fading, profile, k = CASES[name]
    taps, cycles = profile.taps(), np.float64(31.7)
    instant = FadingInstant(*LINKS, cycles, lambda: cycles)
    scattered = taps.power / (taps.k + 1.0)
    direct = 1.0 - scattered.sum()
    if k:
        direct, scattered = k / (k + 1.0), scattered / scattered.sum() / (k + 1.0)
    return fading.amplitudes(DRAWS, instant, taps), taps, direct, scattered


@pytest.mark.parametrize("name", CASES)
def test_mean_power_is_one_at_every_offset_and_its_law_is_that_of_one_path(measured, name):
    # n = 19,900 links. In frequency every channel is a line of sight and a complex Gaussian.
    paths, taps, direct, scattered = channel(name)
    power = taps.response_power(paths, OFFSETS_HZ)
    spread = scattered.sum()
    sigma = np.sqrt((spread**2 + 2 * direct * spread) / power.shape[0])
    assert measured(np.abs(power.mean(axis=0) - 1.0).max(), power.shape[0]) < 4 * sigma
    law = stats.ncx2(2, 2 * direct / spread, scale=spread / 2) if direct else stats.expon()
    for column in range(OFFSETS_HZ.size):
        test = stats.kstest(power[:, column], law.cdf)
        assert measured(test, power.shape[0]).pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", CASES)
def test_correlation_over_frequency_is_the_transform_of_the_profile(measured, name):
    # n = 19,900 links. Of h: R(f); of |h|^2: |S(f)|^2 + 2 a^2 Re S(f) over its value at f = 0, S
    # the transform of the scattered power and a^2 the power in sight.
    paths, taps, direct, scattered = channel(name)
    turns = np.exp(-2j * np.pi * np.outer(taps.delay_s, OFFSETS_HZ))
    h = paths @ turns
    power = taps.response_power(paths, OFFSETS_HZ)
    n = power.shape[0]
    for first in range(OFFSETS_HZ.size):
        for second in range(first + 1, OFFSETS_HZ.size):
            apart_hz = OFFSETS_HZ[first] - OFFSETS_HZ[second]
            turn = np.exp(-2j * np.pi * apart_hz * taps.delay_s)
            found = np.mean(h[:, first] * h[:, second].conj())
            assert measured(abs(found - (direct + turn @ scattered)), n) < 5 / np.sqrt(n)
            s = turn @ scattered
            spread = scattered.sum()
            expected = (abs(s) ** 2 + 2 * direct * s.real) / (spread**2 + 2 * direct * spread)
            found = np.corrcoef(power[:, first], power[:, second])[0, 1]
            # A correlation's sigma is at most 1.6 / sqrt(n) for pairs of exponential variables.
            assert measured(abs(found - expected), n) < 4 * 1.6 / np.sqrt(n)


def test_the_exponential_profile_has_the_coherence_bandwidth_of_its_formula(measured):
    # |R(f)|^2 = 1 / (1 + (2 pi f T)^2): 1/2 at f = 1 / (2 pi T). n = 19,900 links, 4 sigma.
    paths, taps, _, _ = channel("jakes, exponential")
    power = taps.response_power(paths, np.array([0.0, 1 / (2 * np.pi * SPREAD_S)]))
    n = power.shape[0]
    assert measured(abs(np.corrcoef(power.T)[0, 1] - 0.5), n) < 4 * 1.6 / np.sqrt(n)


@pytest.mark.parametrize("profile", [Exponential(paths=8), Tdl(profile="B")])
def test_in_the_world_each_offset_is_correlated_in_time_as_j0_squared(measured, profile):
    # 60 devices walk at 2 m/s past 50 fixed ones: n = 3000 links, f_d = 2 / wavelength, at three
    # offsets; 4 sigma of a correlation, and of the mean power.
    mobilities = [*[RandomWaypoint(speed_mps=(2.0, 2.0))] * 60, *[Static()] * 50]
    world = world_of(
        mobilities, Disc(radius_m=1e4), LogDistance(), RayleighJakes(), seed=5,
        delay_profile=profile,
    )  # fmt: skip
    src, dst, lag_s = np.arange(60)[:, None], np.arange(60, 110), 0.01
    offsets_hz = np.array([-4e6, 0.0, 4e6])
    powers = [
        (
            world.block_gain(src, dst, t_s, offsets_hz) / world.mean_gain(src, dst, t_s)[..., None]
        ).reshape(3000, 3)
        for t_s in (9.0, 9.0 + lag_s)
    ]
    expected = j0(2 * np.pi * (2.0 / world.wavelength_m) * lag_s) ** 2
    assert 0.2 < expected < 0.8
    for offset in range(3):
        assert abs(powers[0][:, offset].mean() - 1.0) < 4 / np.sqrt(3000)
        found = np.corrcoef(powers[0][:, offset], powers[1][:, offset])[0, 1]
        assert measured(abs(found - expected), 3000) < 4 * 1.6 / np.sqrt(3000)


def test_the_mean_over_a_wide_band_fades_less():
    # The sum over the paths, which is the mean over a band far wider than 1 / T, has the variance
    # sum p_l^2 (n = 19,900 links, 4 sigma of it, its law near Gaussian).
    paths, taps, _, _ = channel("jakes, A")
    wide = np.sum(np.abs(paths) ** 2, axis=-1)
    expected = np.sum(taps.power**2)
    sigma = np.sqrt((np.mean((wide - 1) ** 4) - expected**2) / wide.size)
    assert abs(np.mean((wide - 1.0) ** 2) - expected) < 4 * sigma
