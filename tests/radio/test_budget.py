import math

import numpy as np
import pytest
from scipy import constants

from cosim.radio.budget import delay_s, noise_density_w_per_hz, power_for_delay_w, snr


def test_thermal_noise_is_boltzmann_times_290_kelvin():
    # k T at 290 K is -173.98 dBm/Hz; -174 is its usual rounding.
    expected = constants.k * 290.0
    assert noise_density_w_per_hz(-174.0, 0.0) == pytest.approx(expected, rel=0.01)


def test_noise_figure_multiplies_noise():
    ratio = noise_density_w_per_hz(-174.0, 9.0) / noise_density_w_per_hz(-174.0, 0.0)
    assert ratio == pytest.approx(10**0.9, rel=1e-12)


def test_snr_of_a_worked_link():
    # 23 dBm, 100 dB loss, 10 MHz, F = 9 dB: 23 - 100 - (-174 + 70 + 9) = 18 dB.
    noise_w = noise_density_w_per_hz(-174.0, 9.0) * 10e6
    assert 10 * math.log10(snr(10**-0.7, 1e-10, noise_w)) == pytest.approx(18.0, abs=1e-9)


def test_half_the_band_doubles_the_snr():
    assert snr(1.0, 1e-9, 2e-13) == pytest.approx(2 * snr(1.0, 1e-9, 4e-13))


def test_arguments_broadcast():
    assert snr(np.ones(3), np.ones((2, 1)), 2.0).shape == (2, 3)
    assert power_for_delay_w(np.ones(3), 1.0, 1.0, np.ones((2, 1)), 1.0).shape == (2, 3)


@pytest.mark.parametrize("gap", [1.0, 5.54])
@pytest.mark.parametrize("limit_s", [0.01, 1.0, 100.0])
def test_power_for_a_delay_meets_it_exactly(limit_s, gap):
    bits, bandwidth_hz, gain, density = 1e6, 1e6, 1e-10, 4e-20
    power_w = power_for_delay_w(bits, limit_s, bandwidth_hz, gain, density, gap)
    ratio = snr(power_w, gain, density * bandwidth_hz)
    rate_bps = bandwidth_hz * math.log2(1 + ratio / gap)
    assert delay_s(bits, rate_bps) == pytest.approx(limit_s, rel=1e-9)


def test_power_without_gain_or_beyond_float_is_infinite():
    assert power_for_delay_w(1e6, 1.0, 1e6, 0.0, 4e-20) == math.inf
    assert power_for_delay_w(1e9, 1e-3, 1e6, 1e-10, 4e-20) == math.inf
    assert power_for_delay_w(0.0, 1.0, 1e6, 0.0, 4e-20) == 0.0


def test_delay_is_bits_over_rate():
    np.testing.assert_array_equal(delay_s([10.0, 10.0, 0.0], [5.0, 0.0, 0.0]), [2.0, math.inf, 0.0])
