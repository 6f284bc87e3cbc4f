"""Jakes fading: what its tables promise in their docstring, and purity.

The laws of the resulting channel are checked in tests/validation/test_world_fading.py.
"""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import j0

from cosim.rng import Draws
from cosim.world.fading import rayleigh_jakes
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.rayleigh_jakes import RayleighJakes

POINTS_PER_CYCLE = rayleigh_jakes._POINTS_PER_CYCLE


def power(low, high, cycles, seed=2):
    cycles = np.asarray(cycles, dtype=float)
    instant = FadingInstant(np.asarray(low), np.asarray(high), cycles, lambda: cycles)
    return RayleighJakes().power(Draws(seed), instant)


def amplitude(low, high, cycles, tap=0, k=None, seed=2):
    cycles = np.asarray(cycles, dtype=float)
    instant = FadingInstant(np.asarray(low), np.asarray(high), cycles, lambda: cycles)
    return RayleighJakes().amplitude(Draws(seed), instant, tap, k)


def read(table, points):
    """The interpolated process at `points`, complex."""
    real, imaginary = rayleigh_jakes._Reader(table, points.size).at(points, 0.0)
    return real + 1j * imaginary.astype(np.complex128)


def between(table, offset):
    """One period of the interpolated process at whole points plus `offset`, complex."""
    return read(table, np.arange(table.size - 1) + offset)


@pytest.fixture(scope="module")
def tables():
    return rayleigh_jakes._tables(Draws(2))


def test_table_lengths_are_coprime():
    sizes = rayleigh_jakes._SIZES
    assert math.gcd(*sizes) == 1
    assert math.prod(sizes) / POINTS_PER_CYCLE / 1000.0 > 200 * 86400  # s at 1 kHz


def test_mean_power_is_one_to_1e_5(tables):
    # Exact but for quadrature: the midpoint rule over the offset is good to 1e-5 with 16 points.
    for table in tables:
        offsets = (np.arange(16) + 0.5) / 16
        means = [np.mean(np.abs(between(table, offset)) ** 2) for offset in offsets]
        assert np.mean(means) == pytest.approx(1.0, abs=1e-5)
        assert np.ptp(means) < 0.006


def test_autocorrelation_over_a_period_is_j0(tables):
    lags = np.arange(30 * POINTS_PER_CYCLE)
    for table in tables:
        spectrum = np.mean(
            [np.abs(np.fft.fft(between(table, offset))) ** 2 for offset in (0.25, 0.75)], axis=0
        )
        correlation = np.fft.ifft(spectrum)[: lags.size] / spectrum.size
        exact = j0(2 * np.pi * lags / POINTS_PER_CYCLE)
        assert np.abs(correlation - exact).max() < 1e-3


def test_interpolation_is_within_half_a_percent_of_the_modes(tables):
    # A doubly fine synthesis of the same modes is the oracle; 1 % of h's amplitude is -40 dB.
    table = tables[1]
    size = table.size - 1
    spectrum = np.fft.fft(between(table, 0.0))
    nu = np.fft.fftfreq(size) * POINTS_PER_CYCLE
    shifted = spectrum * np.exp(2j * np.pi * nu * 0.5 / POINTS_PER_CYCLE)
    exact = np.fft.ifft(shifted * np.sinc(nu / POINTS_PER_CYCLE) ** 2)
    error = between(table, 0.5) - exact
    assert np.sqrt(np.mean(np.abs(error) ** 2)) < 0.005


def test_reading_wraps_around(tables):
    for table in tables:
        size = table.size - 1
        points = np.array([0.0, 0.25, size - 0.5, size - 1e-9])
        for periods in (1, 7, 10_000):
            far = read(table, points + periods * size)
            assert np.abs(read(table, points) - far).max() < 1e-4


def test_the_same_address_gives_the_same_numbers_in_every_shape():
    low, high = np.array([0, 0, 5, 7]), np.array([1, 2, 6, 90])
    cycles = np.linspace(0.0, 80_000.0, 1001)
    table = power(low[:, None], high[:, None], cycles)
    assert table.shape == (4, 1001)
    for row in range(4):
        assert (power(low[row], high[row], cycles) == table[row]).all()
    for k in range(0, 1001, 50):
        assert (power(low, high, cycles[k]) == table[:, k]).all()
    pieces = [power(0, 1, piece) for piece in np.split(cycles, [1, 8, 13, 500, 997])]
    assert (np.concatenate(pieces) == table[0]).all()


def test_long_arrays_are_worked_on_in_pieces_that_do_not_show():
    length = 2 * rayleigh_jakes._CHUNK + 5
    cycles = np.linspace(0.0, 2000.0, length)
    both = power([[0], [4]], [[1], [7]], cycles)
    for row, ends in enumerate([(0, 1), (4, 7)]):
        assert (power(*ends, cycles) == both[row]).all()
        for k in (0, rayleigh_jakes._CHUNK - 1, rayleigh_jakes._CHUNK, length - 1):
            assert power(*ends, cycles[k]) == both[row, k]


@pytest.mark.parametrize("k", [0.0, 4.0, np.array([0.0, 1.0, 0.0, 50.0])])
def test_the_amplitude_of_a_path_is_the_same_in_every_shape(k):
    low, high = np.array([0, 0, 5, 7]), np.array([1, 2, 6, 90])
    cycles = np.linspace(0.0, 80_000.0, 101)
    factors = np.broadcast_to(np.asarray(k, dtype=float), 4)
    table = amplitude(low[:, None], high[:, None], cycles, tap=3, k=factors[:, None])
    assert table.shape == (4, 101)
    for row in range(4):
        single = amplitude(low[row], high[row], cycles, tap=3, k=factors[row])
        assert (single == table[row]).all()
    for column in range(0, 101, 7):
        assert (amplitude(low, high, cycles[column], tap=3, k=factors) == table[:, column]).all()


def test_power_is_that_of_the_first_path():
    cycles = np.linspace(0.0, 3000.0, 5000)
    first = amplitude(3, 8, cycles)
    assert first.dtype == np.complex128
    assert np.abs(first) ** 2 == pytest.approx(power(3, 8, cycles), rel=1e-6, abs=1e-12)


def test_paths_of_a_link_are_independent():
    # 24 paths x 2000 samples 3.1 cycles apart: 276 correlations of sigma 1 / sqrt(n) in real and
    # imaginary part; 6 sigma of a normal in 552 draws is 1e-6.
    paths = [amplitude(3, 8, 3.1 * np.arange(2000), tap=tap) for tap in range(24)]
    correlation = np.corrcoef(paths)[np.triu_indices(24, 1)] * np.sqrt(2 * 2000)
    assert np.abs([correlation.real, correlation.imag]).max() < 6.0


def test_a_line_of_sight_turns_with_the_doppler_phase():
    # So much of it that nothing else is left: constant power, phase a line over D of slope
    # cos(theta), theta uniform: its 200 slopes follow the arcsine law (KS, false alarm 1e-3).
    cycles = np.linspace(0.0, 50.0, 2001)
    slopes = []
    for high in range(1, 201):
        path = amplitude(0, high, cycles, k=1e12)
        assert np.abs(path) == pytest.approx(1.0, abs=1e-5)
        turns = np.unwrap(np.angle(path)) / (2 * np.pi)
        slopes.append((turns[-1] - turns[0]) / 50.0)
        assert np.abs(turns - turns[0] - slopes[-1] * cycles).max() < 1e-5
        other = amplitude(0, high, cycles[:2], tap=1, k=1e12)  # comes from elsewhere
        assert abs(np.angle(other[1] / other[0]) - np.angle(path[1] / path[0])) > 1e-7
    assert stats.kstest(slopes, stats.arcsine(-1, 2).cdf).pvalue > 1e-3


def test_shapes_broadcast():
    assert power(0, 1, 3.0).shape == ()
    assert power([0], [1], np.zeros((2, 3))).shape == (2, 3)
    assert power([[0]], [[1]], np.arange(4.0)).shape == (1, 4)
    assert power([0, 1], [1, 2], np.empty((0, 1))).shape == (0, 2)


def test_links_and_seeds_differ():
    cycles = np.arange(0.0, 200.0, 0.5)
    traces = [power(0, 1, cycles), power(0, 2, cycles), power(1, 2, cycles)]
    traces.append(power(0, 1, cycles, seed=3))
    assert np.abs(np.corrcoef(traces) - np.eye(4)).max() < 0.25  # 5 sigma of n = 400


def test_a_link_that_stands_still_keeps_its_fade():
    assert np.ptp(power(0, 1, np.full(100, 17.3))) == 0.0


def test_sampling_follows_the_doppler_shift():
    assert RayleighJakes().sample_interval_s(50.0) == pytest.approx(1 / (8 * 50))
    assert RayleighJakes(samples_per_cycle=16).sample_interval_s(50.0) == pytest.approx(1 / 800)
    assert RayleighJakes().sample_interval_s(0.0) == np.inf
