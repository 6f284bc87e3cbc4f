import numpy as np
import pytest
from pydantic import ValidationError

from cosim.radio.error.fixed import Fixed as FixedError
from cosim.radio.error.none import Perfect
from cosim.radio.rate.fixed import Fixed as FixedRate


def test_fixed_rate_is_scaled_by_the_share_and_needs_some_gain():
    rate = FixedRate.model_validate({"rate": "10 Mbps"})
    np.testing.assert_array_equal(
        rate.bps(np.array([0.0, 1e-9, 9.0]), 1e6, 0.25), [0, 2.5e6, 2.5e6]
    )
    np.testing.assert_array_equal(
        rate.bps(np.ones(3), np.ones(3), np.array([0.0, 0.5, 1.0])), [0, 5e6, 1e7]
    )


def test_errors_that_do_not_depend_on_the_snr():
    snr = np.array([[0.0, 1.0, 2.0]])
    np.testing.assert_array_equal(Perfect().probability(snr, 12_000.0, 1.0), np.zeros((1, 3)))
    np.testing.assert_array_equal(
        FixedError(rate=0.25).probability(snr, 12_000.0, 1.0), np.full((1, 3), 0.25)
    )
    assert not FixedError.depends_on_snr
    assert not Perfect.depends_on_snr


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_error_rate_is_a_probability(rate):
    with pytest.raises(ValidationError):
        FixedError(rate=rate)
