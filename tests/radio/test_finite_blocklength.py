import numpy as np
import pytest
from radio_helpers import assert_position_independent

from cosim.radio.error.finite_blocklength import FiniteBlocklength
from cosim.radio.rate.shannon import Shannon

ERROR = FiniteBlocklength()


def test_at_capacity_every_second_packet_is_lost():
    snr = 10.0 ** np.linspace(-3, 5, 50)
    loss = ERROR.probability(snr, 12_000.0, Shannon().bps(snr, 1.0, 1.0))
    np.testing.assert_allclose(loss, 0.5, atol=1e-4)
    gapped = Shannon.model_validate({"gap": "1 dB"}).bps(snr, 1.0, 1.0)
    assert (ERROR.probability(snr, 12_000.0, gapped)[snr > 0.1] < 1e-3).all()


@pytest.mark.parametrize("error", [ERROR, FiniteBlocklength(log_term=True)])
def test_falls_with_the_snr_and_the_length_and_rises_with_the_rate(error):
    snr = 10.0 ** np.linspace(-2, 3, 400)
    loss = error.probability(snr, 500.0, 2.0)
    assert (np.diff(loss) <= 0).all()
    assert loss[0] == 1.0
    assert loss[-1] < 1e-15
    above, below = np.full(3, 3.3), np.full(3, 2.7)  # capacity 2 bit/s/Hz at SNR 3
    lengths = np.array([100.0, 1000.0, 10_000.0])
    assert (np.diff(error.probability(above, lengths, 2.0)) < 0).all()
    assert (np.diff(error.probability(below, lengths, 2.0)) > 0).all()
    assert (np.diff(error.probability(np.full(50, 5.0), 500.0, np.linspace(1, 3, 50))) >= 0).all()


def test_limits():
    got = ERROR.probability(np.array([0.0, 0.0, 5.0, 1e300, 1e-300]), 1000.0, [1, 0, 0, 1, 1e-3])
    np.testing.assert_array_equal(got, [1.0, 1.0, 1.0, 0.0, 1.0])


def test_log_term_favours_the_code():
    snr = np.array([3.0])
    plain = ERROR.probability(snr, 200.0, 2.0)
    assert FiniteBlocklength(log_term=True).probability(snr, 200.0, 2.0) < plain


def test_combined_snr_at_the_same_efficiency():
    once, twice = ERROR.probability(np.array([1.0, 2.0]), 1000.0, 1.2)
    assert once > 0.9
    assert twice < 1e-6


@pytest.mark.parametrize("error", [ERROR, FiniteBlocklength(log_term=True)])
def test_does_not_depend_on_the_position(error):
    def loss(snr):
        return error.probability(snr, 300.0, np.log2(1.0 + snr / 1.3))

    assert_position_independent(loss, seed=5)
