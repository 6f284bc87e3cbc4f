import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from radio_helpers import assert_position_independent

from cosim.radio.cqi import TABLES, num_reached
from cosim.radio.eesm import eesm
from cosim.radio.rate.cqi import Cqi

BITS = {2: (78, 120, 193, 308, 449, 602), 4: (378, 490, 616), 6: (466, 567, 666, 772, 873, 948)}


def linear(db):
    return 10.0 ** (np.asarray(db) / 10.0)


def test_efficiencies_are_modulation_times_code_rate():
    """36.213 T7.2.3-1 and -2 list modulation, code rate x 1024 and their product, rounded."""
    rows = [order * rate / 1024 for order, rates in BITS.items() for rate in rates]
    np.testing.assert_allclose(TABLES["64qam"].efficiency, rows, atol=5.1e-5)
    high = [8 * rate / 1024 for rate in (711, 797, 885, 948)]
    np.testing.assert_allclose(
        TABLES["256qam"].efficiency, [*rows[:5:2], *rows[6:14], *high], atol=1e-4
    )


@pytest.mark.parametrize("name", TABLES)
def test_rows_ascend_and_stay_above_capacity(name):
    table = TABLES[name]
    for column in (table.efficiency, table.snr_db):
        assert len(column) == 15
        assert (np.diff(column) > 0).all()
    assert (np.diff(table.beta) >= 0).all()  # EESM finds one row by this
    gap_db = table.gap_db(np.array(table.efficiency))
    capacity = 10 * np.log10(2 ** np.array(table.efficiency) - 1)
    np.testing.assert_allclose(capacity + gap_db, table.snr_db, rtol=0, atol=1e-9)
    assert (gap_db > 0.9).all()
    assert (gap_db < 3.0).all()


def test_gap_is_linear_between_rows_and_constant_beyond():
    table = TABLES["64qam"]
    at = np.array([0.01, 0.2, 1.0, 3.0, 5.0, 5.5547, 9.0])
    rows = np.array(table.efficiency)
    expected = np.interp(at, rows, table.gap_db(rows))
    np.testing.assert_allclose(table.gap_db(at), expected, rtol=0, atol=1e-9)


def test_num_reached_is_the_same_for_few_and_for_many():
    levels = TABLES["64qam"].snr
    values = np.concatenate([levels, levels * (1 - 1e-15), linear(np.linspace(-12, 30, 5000))])
    few = [num_reached(levels, values[i : i + 1])[0] for i in range(len(values))]
    np.testing.assert_array_equal(num_reached(levels, values), few)
    assert few[:15] == list(range(1, 16))


def test_rate_of_each_row():
    table = TABLES["64qam"]
    rate = Cqi()
    at = rate.bps(table.snr, 1e6, 1.0)
    np.testing.assert_allclose(at, np.array(table.efficiency) * 1e6)
    below = rate.bps(table.snr * (1 - 1e-9), 1e6, 1.0)
    np.testing.assert_allclose(below, np.array((0.0, *table.efficiency[:-1])) * 1e6)
    np.testing.assert_array_equal(rate.bps(np.array([0.0, 1e9]), 2.0, 1.0), [0.0, 2 * 5.5547])


def test_256qam_goes_higher():
    snr = linear([0.3, 30.0])
    np.testing.assert_allclose(Cqi(table="256qam").bps(snr, 1.0, 1.0), [0.877, 7.4063])


def test_offset_is_taken_from_the_snr_but_out_of_range_is_the_report_s_to_say():
    rate, table = Cqi(), TABLES["64qam"]
    snr_db = np.array([-9.0, -7.9, -7.0, 2.2, 30.0])
    snr = linear(snr_db)
    snr[1] = table.snr[0]
    for offset_db, rows in (
        (0.0, (0, 1, 1, 6, 15)),
        (3.0, (0, 1, 1, 4, 15)),
        (-2.0, (0, 2, 2, 7, 15)),
    ):
        expected = np.array((0.0, *table.efficiency))[list(rows)]
        np.testing.assert_allclose(rate.bps(snr, 1.0, 1.0, offset_db), expected)
    assert rate.bps(linear([30.0]), 1.0, 1.0, 99.0)[0] == table.efficiency[0]


def test_overhead_costs_rate_but_no_robustness():
    rate = Cqi(overhead=0.25)
    rate_bps = rate.bps(linear([2.3]), 1e6, 1.0)
    np.testing.assert_allclose(rate_bps, 0.75 * 1.1758e6)
    np.testing.assert_allclose(rate.efficiency(rate_bps, 1e6), 1.1758)


def test_steps_of_the_outer_loop():
    rate = Cqi.model_validate({"step": "0.2 dB", "target_bler": 0.2, "max_offset": "3 dB"})
    assert rate.next_offset_db(1.0, 0, 1) == pytest.approx(1.2)
    assert rate.next_offset_db(1.0, 1, 0) == pytest.approx(0.95)
    assert rate.next_offset_db(1.0, 4, 1) == pytest.approx(1.0)  # the target: no drift
    assert rate.next_offset_db(1.0, 0, 100) == 3.0
    assert rate.next_offset_db(1.0, 1000, 0) == -3.0


def test_outer_loop_is_a_key():
    assert Cqi().adapts
    assert not Cqi(outer_loop=False).adapts
    assert Cqi.model_validate({"report_period": "40 ms"}).report_interval_s() == 0.04


@pytest.mark.parametrize(
    "keys",
    [
        {"table": "16qam"},
        {"target_bler": 0.0},
        {"target_bler": 1.0},
        {"step": "0 dB"},
        {"max_offset": "-1 dB"},
        {"report_period": "0 s"},
        {"overhead": 1.0},
    ],
)
def test_keys_out_of_range(keys):
    with pytest.raises(ValidationError):
        Cqi.model_validate(keys)


@pytest.mark.parametrize("offset_db", [0.0, 1.7, -2.3])
def test_does_not_depend_on_the_position(offset_db):
    assert_position_independent(lambda snr: Cqi().bps(snr, 1e6, 1.0, offset_db), seed=2)


def test_eesm_by_hand():
    snr, beta = np.array([1.0, 2.0, 6.0]), np.array(2.0)
    mean = (math.exp(-0.5) + math.exp(-1) + math.exp(-3)) / 3
    assert eesm(snr, beta) == pytest.approx(-2 * math.log(mean), rel=1e-12)
    weighted = (math.exp(-0.5) + 3 * math.exp(-3)) / 4
    got = eesm(snr, beta, np.array([0.5, 0.0, 1.5]))
    assert got == pytest.approx(-2 * math.log(weighted), rel=1e-12)
    assert eesm(snr, beta, np.zeros(3)) == 0.0


def test_eesm_far_above_beta_is_the_least_snr_and_some():
    got = eesm(np.array([1e5, 2e5]), np.array(1.6))
    assert got == pytest.approx(1e5 + 1.6 * math.log(2), rel=1e-12)


@given(
    st.lists(st.floats(-25.0, 45.0), min_size=1, max_size=12),
    st.sampled_from(sorted(TABLES)),
)
def test_effective_snr_is_that_of_the_row_it_reaches(snr_db, name):
    """EESM with the beta of the row that `bps` finds; no row above it is reached by its own."""
    table, rate, snr = TABLES[name], Cqi(table=name), linear(snr_db)
    effective = rate.effective_snr(snr[np.newaxis])[0]
    row = int(num_reached(table.snr, np.array([effective]))[0])
    assert effective == eesm(snr, np.array(table.beta[max(row - 1, 0)]))
    if row < 15:
        assert eesm(snr, np.array(table.beta[row])) < table.snr[row]
    assert snr.min() <= effective <= snr.mean() * (1 + 1e-12)


def test_effective_snr_does_not_depend_on_the_position():
    snr = 10.0 ** np.random.default_rng(3).uniform(-2, 3, (2, 700, 25))
    weight = np.random.default_rng(4).integers(0, 2, (700, 25)).astype(float)
    for each in (None, weight):
        whole = Cqi().effective_snr(snr, each)
        for k in range(0, 700, 37):
            one = Cqi().effective_snr(snr[:, k : k + 1], None if each is None else each[k : k + 1])
            np.testing.assert_array_equal(one[:, 0], whole[:, k])
