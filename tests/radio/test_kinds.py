import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import exp1

from cosim.plugin import find, kinds
from cosim.radio.error.fixed import Fixed as FixedError
from cosim.radio.error.none import Perfect
from cosim.radio.rate.fixed import Fixed as FixedRate
from cosim.radio.rate.shannon import Shannon, qam_gap_db
from cosim.radio.sharing.base import Demand
from cosim.radio.sharing.equal import Equal


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


def test_gap_of_uncoded_qam():
    assert qam_gap_db(5e-5) == pytest.approx(7.43, abs=0.005)
    with pytest.raises(ValueError, match="expected a bit error rate"):
        qam_gap_db(0.2)


def test_ergodic_rayleigh_capacity():
    """E log2(1 + g x), x ~ Exp(1), is e^(1/g) E1(1/g) / ln 2.

    n = 200,000 samples; the mean is within 5 standard errors: false alarm below 1e-6.
    """
    mean_snr, n = 10.0, 200_000
    ratio = mean_snr * np.random.default_rng(1).exponential(size=n)
    rate = Shannon().bps(ratio, 1.0, 1.0)
    expected = math.exp(1 / mean_snr) * exp1(1 / mean_snr) / math.log(2)
    assert abs(rate.mean() - expected) < 5 * rate.std() / math.sqrt(n)


def test_fixed_rate_is_scaled_by_the_share_and_needs_some_gain():
    rate = FixedRate.model_validate({"rate": "10 Mbps"})
    np.testing.assert_array_equal(
        rate.bps(np.array([0.0, 1e-9, 9.0]), 1e6, 0.25), [0, 2.5e6, 2.5e6]
    )


def test_errors():
    ratio, bits = np.array([0.0, 1.0, 2.0]), np.full(3, 12_000.0)
    np.testing.assert_array_equal(Perfect().probability(ratio, bits), 0.0)
    np.testing.assert_array_equal(FixedError(rate=0.25).probability(ratio, bits), 0.25)
    assert not FixedError.depends_on_snr
    assert not Perfect.depends_on_snr


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_error_rate_is_a_probability(rate):
    with pytest.raises(ValidationError):
        FixedError(rate=rate)


@pytest.mark.parametrize("num_flows", [1, 2, 3, 7])
def test_equal_shares_fill_the_band_and_look_at_nothing(num_flows):
    def unasked():
        raise AssertionError("the rule asked for what it does not need")

    shares = Equal().shares(Demand(num_flows, unasked, unasked))
    assert shares.shape == (num_flows,)
    np.testing.assert_allclose(shares, 1 / num_flows)
    assert shares.sum() <= 1 + 1e-12


@pytest.mark.parametrize(
    ("family", "names"),
    [("rate", ["fixed", "shannon"]), ("error", ["fixed", "none"]), ("rule", ["equal"])],
)
def test_kinds_are_found_by_name(family, names):
    assert set(names) <= set(kinds(family))
    for name in names:
        find(family, name).model_validate({})
