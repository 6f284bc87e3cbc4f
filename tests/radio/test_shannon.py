import math

import numpy as np
import pytest
from radio_helpers import assert_position_independent

from cosim.radio.rate.shannon import Shannon


def test_shannon_by_hand():
    np.testing.assert_allclose(
        Shannon().bps(np.array([0.0, 1.0, 3.0, 1023.0]), 2e6, 0.5), [0.0, 2e6, 4e6, 20e6]
    )


def test_shannon_keeps_its_digits_at_low_snr():
    assert Shannon().bps(np.array([1e-12]), 1.0, 1.0)[0] == pytest.approx(
        1e-12 / math.log(2), rel=1e-9
    )


def test_gap_divides_the_snr():
    gapped = Shannon.model_validate({"gap": "3 dB"})
    ratio = np.array([10.0])
    assert gapped.bps(ratio, 1e6, 1.0) == pytest.approx(Shannon().bps(ratio / 10**0.3, 1e6, 1.0))


def test_bandwidth_by_element():
    bandwidth_hz = np.array([1e6, 0.0, 2e6])
    rate_bps = Shannon().bps(np.full(3, 3.0), bandwidth_hz, bandwidth_hz / 4e6)
    np.testing.assert_allclose(rate_bps, [2e6, 0.0, 4e6])


def test_efficiency_is_rate_over_bandwidth():
    got = Shannon().efficiency(np.array([2e6, 0.0, 4e6]), np.array([1e6, 0.0, 2e6]))
    np.testing.assert_array_equal(got, [2.0, 0.0, 2.0])


def test_effective_snr_carries_the_mean_capacity():
    snr = np.array([[1.0, 3.0], [0.0, 15.0]])  # 1 and 2, 0 and 4 bit/s/Hz
    np.testing.assert_allclose(Shannon().effective_snr(snr), [2**1.5 - 1, 3.0])
    weighted = Shannon().effective_snr(snr, np.array([[1.0, 0.0], [1.0, 3.0]]))
    np.testing.assert_allclose(weighted, [1.0, 7.0])


def test_knows_its_channel_and_does_not_adapt():
    assert not Shannon().adapts
    assert Shannon().next_offset_db(1.5, 3, 4) == 1.5
    assert Shannon().report_interval_s() == math.inf


@pytest.mark.parametrize("gap", ["0 dB", "3 dB"])
def test_does_not_depend_on_the_position(gap):
    rate = Shannon.model_validate({"gap": gap})
    assert_position_independent(lambda snr: rate.bps(snr, 1e6, 1.0), seed=1)


def test_it_is_capped_at_the_densest_modulation():
    rate = Shannon.model_validate({"max_efficiency": 4.0})
    snr = np.array([0.0, 1.0, 15.0, 16.0, 1e9])
    np.testing.assert_allclose(rate.bps(snr, 1e6, 1.0), [0.0, 1e6, 4e6, 4e6, 4e6], rtol=1e-12)
