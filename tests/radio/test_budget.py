import math

import numpy as np
import pytest
from scipy import constants

from cosim.radio.budget import delay_s, noise_density_w_per_hz, snr


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


def test_delay_is_bits_over_rate():
    np.testing.assert_array_equal(delay_s([10.0, 10.0, 0.0], [5.0, 0.0, 0.0]), [2.0, math.inf, 0.0])
