"""Rayleigh fading against its laws in closed form: power, correlation, crossings, fade duration.

Sample sizes are stated at each test. False-alarm rates over seeds: 1e-3 for each
Kolmogorov-Smirnov test, 1e-4 for each 4 sigma bound.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import j0
from world_helpers import world_of

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.mobility.static import Static
from cosim.world.path_loss.log_distance import LogDistance

FALSE_ALARM = 1e-3
LINKS = np.triu_indices(300, 1)  # 44,850 links
CARRIER_HZ = 3.5e9


def jakes(low, high, cycles) -> np.ndarray:
    cycles = np.asarray(cycles, dtype=float)
    instant = FadingInstant(np.asarray(low), np.asarray(high), cycles, lambda: cycles)
    return RayleighJakes().power(Draws(31), instant)


def blocks(low, high, t_s) -> np.ndarray:
    t_s = np.asarray(t_s, dtype=float)
    instant = FadingInstant(np.asarray(low), np.asarray(high), t_s, lambda: t_s)
    return Rayleigh(coherence_time_s=1.0).power(Draws(31), instant)


@pytest.mark.parametrize("model", [jakes, blocks])
@pytest.mark.parametrize("when", [0.0, 1234.5])
def test_power_over_links_is_exponential(measured, model, when):
    # n = 44,850 links at one instant.
    power = model(*LINKS, when)
    assert measured(stats.kstest(power, "expon"), power.size).pvalue > FALSE_ALARM
    assert measured(abs(power.mean() - 1.0), power.size) < 4 / np.sqrt(power.size)
    assert measured(abs(np.mean(power**2) - 2.0), power.size) < 4 * np.sqrt(
        20 / power.size
    )  # Var |h|^4 = 24 - 4


@pytest.mark.parametrize("model", [jakes, blocks])
def test_power_over_time_is_exponential(measured, model):
    # One link, n = 20,000 samples 3.1 cycles or blocks apart, where J0^2 is below 0.01.
    power = model(3, 8, 3.1 * np.arange(20_000))
    assert measured(stats.kstest(power, "expon"), power.size).pvalue > FALSE_ALARM


def test_outage_in_deep_fades(measured):
    # P(|h|^2 < x) = 1 - e^-x down to -30 dB; n = 100 links x 20,000 samples 3.1 cycles apart.
    power = jakes(np.zeros((100, 1), int), np.arange(1, 101)[:, None], 3.1 * np.arange(20_000))
    for level in (1e-3, 1e-2, 1e-1):
        expected = -np.expm1(-level)
        sigma = np.sqrt(expected / power.size)
        # Neighbouring samples are nearly, not quite independent: room of half a sigma.
        assert measured(abs(np.mean(power < level) - expected), power.size) < 4.5 * sigma


def test_blocks_of_a_link_and_links_of_a_block_are_independent(measured):
    # 4 sigma of n = 44,850 links or 20,000 blocks.
    now, then = blocks(*LINKS, 5.0), blocks(*LINKS, 6.0)
    assert measured(abs(np.corrcoef(now, then)[0, 1]), now.size) < 4 / np.sqrt(now.size)
    series = blocks(3, 8, np.arange(20_001.0))
    assert measured(abs(np.corrcoef(series[1:], series[:-1])[0, 1]), 20_000) < 4 / np.sqrt(20_000)
    other = blocks(3, 9, np.arange(20_001.0))
    assert measured(abs(np.corrcoef(series, other)[0, 1]), 20_000) < 4 / np.sqrt(20_000)


@pytest.mark.parametrize("lag", [0.02, 0.1, 0.2, 0.3, 0.3827, 0.5, 0.61, 0.8787, 1.12, 2.0])
def test_power_autocorrelation_is_j0_squared(measured, lag):
    # Complex Gaussian h: corr(|h(D)|^2, |h(D + lag)|^2) = J0(2 pi lag)^2. n = 44,850 links, a
    # correlation's sigma at most 1.6 / sqrt(n) for exponential pairs.
    now, then = jakes(*LINKS, 77.0), jakes(*LINKS, 77.0 + lag)
    expected = j0(2 * np.pi * lag) ** 2
    found = np.corrcoef(now, then)[0, 1]
    assert measured(abs(found - expected), now.size) < 4 * 1.6 / np.sqrt(now.size)


@pytest.fixture(scope="module")
def traces() -> np.ndarray:
    """Power of 40 links over 1000 cycles, 200 samples in each."""
    high = np.arange(1, 41)[:, None]
    return jakes(np.zeros((40, 1), int), high, np.arange(0.0, 1000.0, 1 / 200))


@pytest.mark.parametrize("rho", [0.3, 0.7, 1.0, 1.5])
def test_level_crossing_rate(measured, traces, rho):
    # Upward crossings per cycle: sqrt(2 pi) rho e^(-rho^2). Sigma from the 40 links (t of 39
    # degrees, 4.3 sigma); a crossing pair within one sample, or the images, cost up to 0.5 %.
    below = traces < rho**2
    rates = np.count_nonzero(below[:, :-1] & ~below[:, 1:], axis=1) / 1000.0
    expected = np.sqrt(2 * np.pi) * rho * np.exp(-(rho**2))
    slack = 4.3 * rates.std(ddof=1) / np.sqrt(rates.size) + 0.005 * expected
    assert measured(abs(rates.mean() - expected), rates.size) < slack < 0.06 * expected


@pytest.mark.parametrize("rho", [0.3, 0.7, 1.0])
def test_average_fade_duration(measured, traces, rho):
    # (e^(rho^2) - 1) / (rho sqrt(2 pi)) cycles; a ratio per link, so its bias is of order 1 / n.
    below = traces < rho**2
    fades = np.count_nonzero(below[:, :-1] & ~below[:, 1:], axis=1)
    durations = below.sum(axis=1) / 200.0 / fades
    expected = np.expm1(rho**2) / (rho * np.sqrt(2 * np.pi))
    slack = 4.3 * durations.std(ddof=1) / np.sqrt(durations.size) + 0.005 * expected
    assert measured(abs(durations.mean() - expected), durations.size) < slack < 0.06 * expected


def test_links_are_independent(measured):
    # 200 links x 4000 samples 3.1 cycles apart: 19,900 correlations, each of sigma 1 / sqrt(n).
    power = jakes(np.zeros((200, 1), int), np.arange(1, 201)[:, None], 3.1 * np.arange(4000))
    correlation = np.corrcoef(power)[np.triu_indices(200, 1)] * np.sqrt(4000)
    assert measured(abs(correlation.mean()), correlation.size) < 4 / np.sqrt(correlation.size)
    assert abs(correlation.std() - 1.0) < 0.03
    # Links that enter one table within a cycle of each other share half of h, and 1/4 of the
    # power's variance; 2 (1/32,768 + 1/16,608) of the pairs do, 3.6 on average, 15 or more in
    # one seed of a hundred thousand. 6.5 sigma of a normal in 19,900 draws is 1.6e-6.
    shared = np.abs(correlation) > 6.5
    assert shared.sum() < 15
    assert np.abs(correlation).max() / np.sqrt(4000) < 0.25 + 6.5 / np.sqrt(4000)


def test_doppler_in_the_world_comes_from_the_relative_speed(measured):
    # One device walks at 2 m/s past fixed ones: f_d = 2 / wavelength, and the power correlation
    # at 10 ms is J0(2 pi f_d 10 ms)^2. n = 3000 links at one instant.
    walkers = [RandomWaypoint(speed_mps=(2.0, 2.0))] * 60
    mobilities = [*walkers, *[Static()] * 50]
    area = Disc(radius_m=1e4)
    world = world_of(mobilities, area, LogDistance(), RayleighJakes(), CARRIER_HZ, seed=5)
    src, dst = np.arange(60)[:, None], np.arange(60, 110)
    lag_s = 0.01
    powers = [world.gain(src, dst, t) / world.mean_gain(src, dst, t) for t in (9.0, 9.0 + lag_s)]
    shift_hz = 2.0 * CARRIER_HZ / 299_792_458.0
    expected = j0(2 * np.pi * shift_hz * lag_s) ** 2
    assert 0.2 < expected < 0.8
    correlation = np.corrcoef(*(power.ravel() for power in powers))[0, 1]
    assert measured(abs(correlation - expected), 3000) < 4 * 1.6 / np.sqrt(3000)
