import numpy as np
import pytest
from pydantic import ValidationError
from radio_helpers import assert_position_independent
from scipy.stats import norm

from cosim.radio.cqi import TABLES
from cosim.radio.error.cqi_bler import CqiBler
from cosim.radio.rate.cqi import Cqi

ERROR = CqiBler()


@pytest.mark.parametrize("name", TABLES)
def test_ten_percent_at_each_row_s_snr(name):
    table = TABLES[name]
    loss = CqiBler(table=name).probability(table.snr, 6144.0, np.array(table.efficiency))
    np.testing.assert_allclose(loss, 0.1, rtol=1e-9)


def test_curve_is_a_normal_tail_in_db():
    error = CqiBler.model_validate({"width": "0.5 dB"})
    table = TABLES["64qam"]
    offset_db = np.linspace(-3, 3, 25)
    loss = error.probability(table.snr[6] * 10 ** (offset_db / 10), 1000.0, table.efficiency[6])
    np.testing.assert_allclose(loss, norm.sf(offset_db / 0.5 + norm.isf(0.1)), rtol=1e-9)


def test_each_code_block_must_arrive():
    table = TABLES["64qam"]
    snr = np.full(5, table.snr[3])
    bits = np.array([1.0, 6144.0, 6145.0, 12_288.0, 12_289.0])
    loss = ERROR.probability(snr, bits, table.efficiency[3])
    np.testing.assert_allclose(loss, [0.1, 0.1, 0.19, 0.19, 0.271], rtol=1e-9)


def test_between_rows_more_efficiency_needs_more_snr():
    efficiency = np.linspace(0.05, 9.0, 2000)
    snr = np.full(efficiency.shape, 100.0)
    assert (np.diff(ERROR.probability(snr, 6000.0, efficiency)) >= 0).all()
    # Also over all of the range, by the SNR at which half of the blocks are lost.
    need_db = 10 * np.log10(2**efficiency - 1) + TABLES["64qam"].gap_db(efficiency)
    assert (np.diff(need_db) > 0).all()


def test_falls_with_the_snr():
    loss = ERROR.probability(10.0 ** np.linspace(-3, 4, 3000), 12_000.0, 1.4766)
    assert (np.diff(loss) <= 0).all()
    assert loss[0] == 1.0
    assert loss[-1] == 0.0


def test_limits():
    got = ERROR.probability(np.array([0.0, 0.0, 5.0, 1e300, 9.0]), 1000.0, [1, 0, 0, 1, 1e6])
    np.testing.assert_array_equal(got, [1.0, 1.0, 1.0, 0.0, 1.0])


def test_row_that_the_report_asks_for_loses_at_most_a_tenth_of_its_blocks():
    snr = 10.0 ** np.linspace(-0.7, 3, 5000)
    efficiency = Cqi().bps(snr, 1.0, 1.0)
    loss = ERROR.probability(snr, 6144.0, efficiency)
    sent = efficiency > 0
    assert loss[sent].max() <= 0.1 * (1 + 1e-9)
    assert (loss[~sent] == 1.0).all()


def test_combined_snr_at_the_same_efficiency():
    table = TABLES["64qam"]
    half = table.snr[8] / 2
    once, twice = ERROR.probability(np.array([half, 2 * half]), 6144.0, table.efficiency[8])
    assert once > 0.999
    assert twice == pytest.approx(0.1)


@pytest.mark.parametrize("keys", [{"width": "0 dB"}, {"table": "qpsk"}])
def test_keys_out_of_range(keys):
    with pytest.raises(ValidationError):
        CqiBler.model_validate(keys)


@pytest.mark.parametrize("width", ["0.15 dB", "2 dB"])
def test_does_not_depend_on_the_position(width):
    error = CqiBler.model_validate({"width": width})

    def loss(snr):
        return error.probability(snr, 9000.0, np.log2(1.0 + snr / 1.7))

    assert_position_independent(loss, seed=6)
