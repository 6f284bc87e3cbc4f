"""Cumulative service against quadrature and bisection, and its inverse against itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.radio.service import Service

SERVICE = Service.of(np.array([0.0, 1.0, 2.0, 4.0]), np.array([10.0, 0.0, 5.0]))


def test_by_hand():
    np.testing.assert_allclose(SERVICE.bits, [0, 10, 10, 20])
    np.testing.assert_allclose(SERVICE.reach_s([0.0, 5.0, 10.0, 12.5, 20.0]), [0, 0.5, 1, 2.5, 4])
    np.testing.assert_allclose(SERVICE.reached_bits([0.0, 0.5, 1.5, 3.0]), [0, 5, 10, 15])
    assert SERVICE.reach_s(20.1) == math.inf
    assert SERVICE.end_of(12.5) == 2.5
    assert SERVICE.end_of(21.0) == math.inf


def test_bits_reached_on_the_edge_of_silence_do_not_wait_for_its_end():
    for bits in (10.0 * (1 + 1e-15), 10.0, 10.0 * (1 - 1e-15)):
        assert SERVICE.reach_s(bits) == pytest.approx(1.0, abs=1e-12)
        assert SERVICE.end_of(bits) == pytest.approx(1.0, abs=1e-12)
    # Beyond the tolerance they do.
    assert SERVICE.reach_s(10.0 * (1 + 1e-9)) > 2.0


def test_silence_at_the_start():
    service = Service.of(np.array([1.0, 2.0, 3.0]), np.array([0.0, 4.0]))
    np.testing.assert_allclose(service.reach_s([0.0, 2.0]), [1.0, 2.5])


pieces = st.lists(
    st.tuples(st.floats(1e-3, 2.0), st.just(0.0) | st.floats(1.0, 1e8)), min_size=1, max_size=8
)


@given(pieces, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5), st.floats(0.0, 1.0))
def test_inverse_cut_and_join(pieces, fractions, cut):
    lengths, rates = (np.array(column) for column in zip(*pieces, strict=True))
    time_s = np.concatenate([[0.5], 0.5 + np.cumsum(lengths)])
    service = Service.of(time_s, rates)
    bits = np.sort(fractions) * service.end_bits * (1 - 1e-9)
    times = service.reach_s(bits)
    np.testing.assert_array_equal(times, [service.end_of(amount) for amount in bits])
    assert (np.diff(times) >= 0).all()

    # S by independent quadrature: rate times overlap with each piece.
    overlap = np.clip(times[:, None] - time_s[:-1], 0.0, lengths)
    np.testing.assert_allclose(overlap @ rates, bits, rtol=1e-9, atol=1e-3)
    # `reached_bits` is the inverse: just before b is reached it is less, from then on it is not.
    assert (service.reached_bits(times + 1e-9) >= bits * (1 - 1e-12)).all()

    # Cutting anywhere and going on from there changes nothing.
    cut_s = float(time_s[0] + cut * (time_s[-1] - time_s[0]))
    first = service.until(cut_s)
    index = int(np.searchsorted(time_s, cut_s, side="right")) - 1
    if index < len(rates):
        rest = Service.of(
            np.concatenate([[cut_s], time_s[index + 1 :]]),
            rates[index:],
            first.end_bits,
            first.end_mark_bits,
        )
        joined = Service.join([first, rest])
        np.testing.assert_allclose(joined.reach_s(bits), times, rtol=1e-9, atol=1e-9)
        assert joined.end_bits == pytest.approx(service.end_bits, rel=1e-12)


def test_what_was_reached_before_a_change_stays_reached():
    # The first attempt is a rounding error short of its end when the rate falls to a trickle.
    first = Service.of(np.array([1.0, 2.0]), np.array([1e6]))
    rest = Service.of(np.array([2.0, 9.0]), np.array([1e-3]), first.end_bits, first.end_mark_bits)
    assert rest.reach_s(1e6 + 1e-8) == 2.0
    assert rest.end_of(1e6 + 1e-8) == 2.0
