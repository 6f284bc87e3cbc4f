import numpy as np
import pytest

from cosim.planning.least_snr import least_snr
from cosim.radio.rate.base import Rate
from cosim.radio.rate.fixed import Fixed
from cosim.radio.rate.shannon import Shannon


class Steps(Rate):
    """Nothing below SNR 2, 1 bit/s/Hz up to SNR 10, then 2."""

    def bps(self, snr, bandwidth_hz, share):
        return bandwidth_hz * (1.0 * (snr >= 2.0) + 1.0 * (snr >= 10.0))


@pytest.mark.parametrize("gap_db", [0.0, 7.43])
def test_is_the_closed_form_of_shannon(gap_db):
    bps = np.array([[1.0, 1e3], [1e6, 3e7]])
    snr = least_snr(Shannon(gap_db=gap_db), bps, 1e6, 0.5)
    closed = 10 ** (gap_db / 10) * np.expm1(bps / 1e6 * np.log(2.0))
    np.testing.assert_allclose(snr, closed, rtol=1e-9)


def test_what_it_returns_reaches_the_rate():
    bps = np.geomspace(1e2, 5e7, 50)
    snr = least_snr(Shannon(), bps, 1e6, 1.0)
    assert np.all(Shannon().bps(snr, 1e6, 1.0) >= bps)


def test_steps_are_found_from_above():
    snr = least_snr(Steps(), np.array([0.0, 1e6, 1.5e6, 2e6, 2.1e6]), 1e6, 1.0)
    np.testing.assert_allclose(snr, [2.0, 2.0, 10.0, 10.0, np.inf])
    assert np.all(snr >= [2.0, 2.0, 10.0, 10.0, np.inf])


def test_a_rate_that_does_not_depend_on_it_needs_none_or_has_none():
    snr = least_snr(Fixed(rate_bps=1e6), np.array([4e5, 6e5]), 1e6, 0.5)
    assert snr.tolist() == [0.0, np.inf]


def test_a_capped_rate_has_no_snr_beyond_the_cap():
    snr = least_snr(Shannon(max_efficiency=2.0), np.array([2e6, 2.1e6]), 1e6, 1.0)
    np.testing.assert_allclose(snr, [3.0, np.inf], rtol=1e-9)


def test_nothing_asked_of_nobody():
    assert least_snr(Shannon(), np.array([]), 1e6, 1.0).shape == (0,)
