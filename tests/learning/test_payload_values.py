"""Values as bytes; the statistical tests state their false-alarm rate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.learning.methods.base import Update
from cosim.learning.payload._values import Rounding, quantise
from cosim.learning.payload.codec import chunks, decode, encode
from cosim.rng import Draws
from cosim.scenario.tree import PayloadCoding

INT8 = PayloadCoding(dtype="int8")
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(arrays(np.float32, st.integers(1, 40), elements=finite), st.integers(0, 2**32))
def test_steps_are_the_two_neighbours_of_a_value(values, seed):
    uniform = np.random.default_rng(seed).random(len(values))
    scale, steps = quantise(values, uniform)
    assert steps.dtype == np.int8
    assert np.isfinite(np.float32(scale) * np.float32(127))
    # Of the largest numbers, float32 has no larger scale.
    exact = np.clip(values.astype(np.float64) / scale, -127, 127)
    lower = np.floor(exact)
    assert ((steps == lower) | (steps == lower + 1)).all()
    assert (steps[exact == lower] == lower[exact == lower]).all()
    assert (steps >= -127).all()


def test_the_scale_is_the_largest_over_127():
    values = np.array([0.5, -2.54, 1.0], np.float32)
    scale, steps = quantise(values, np.full(3, 0.5))
    assert scale == pytest.approx(0.02, rel=1e-6)
    np.testing.assert_array_equal(steps, [25, -127, 50])
    assert quantise(np.zeros(2, np.float32), np.full(2, 0.999))[1].tolist() == [0, 0]


def test_int8_is_right_in_the_mean():
    """2,000 rounds of 60 values: each mean error is normal, sd = sqrt(f (1 - f) / 2,000) steps.

    The bound of 5.2 sd makes a false alarm of 60 values once in 80,000 seeds.
    """
    values = np.random.default_rng(2).standard_normal(60).astype(np.float32)
    update = Update((0,), 0, np.arange(60) * 7, values)
    rounds = 2000
    found = [
        decode(encode([update], 1460, INT8, Rounding(Draws(1), 0, round)), 1460, 500)[0].values
        for round in range(rounds)
    ]
    scale, _ = quantise(values, np.zeros(60))
    exact = values / np.float64(scale)
    fraction = exact - np.floor(exact)
    sd = np.sqrt(fraction * (1 - fraction) / rounds)
    error = np.mean(found, axis=0, dtype=np.float64) / scale - exact
    assert (np.abs(error) < 5.2 * sd + 1e-4).all()  # float32 products
    nearest = np.abs(np.round(exact) - exact)
    assert (nearest > 5.2 * sd + 1e-4).sum() > 50  # rounding to nearest would be found out


def test_rounding_of_two_coordinates_is_independent():
    """200,000 numbers: mean and correlations of neighbours within 4.9 sd, 1e-6 of false alarm."""
    drawn = Rounding(Draws(1), 2, 3).uniform(0, np.arange(200_000))
    bound = 4.9 / math.sqrt(200_000)
    assert abs(drawn.mean() - 0.5) * math.sqrt(12) < bound
    for lag in (1, 2, 4, 64):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < bound
    for other in (Rounding(Draws(1), 3, 3), Rounding(Draws(1), 2, 4), Rounding(Draws(2), 2, 3)):
        assert abs(np.corrcoef(drawn, other.uniform(0, np.arange(200_000)))[0, 1]) < bound
    second = Rounding(Draws(1), 2, 3).uniform(1, np.arange(200_000))
    assert abs(np.corrcoef(drawn, second)[0, 1]) < bound


@given(st.sets(st.integers(0, 400_000), min_size=1, max_size=60), st.integers(0, 3))
def test_a_coordinates_number_does_not_hang_on_the_others(chosen, number):
    rounding = Rounding(Draws(9), 5, 6)
    coordinates = np.array(sorted(chosen))
    drawn = rounding.uniform(number, coordinates)
    alone = [rounding.uniform(number, coordinates[at : at + 1])[0] for at in range(len(chosen))]
    np.testing.assert_array_equal(drawn, alone)
    address = (number << 32) + coordinates
    np.testing.assert_array_equal(drawn, Draws(9).uniform("payload_rounding", 5, 6, address))


def test_values_hang_on_the_packet_size_by_the_scale_of_their_chunk_alone():
    """Where every chunk has the same largest value, packets of any size decode to the same."""
    values = np.random.default_rng(2).uniform(-1, 1, 3000).astype(np.float32)
    values[::20] = 1.0
    update = Update((0,), 0, np.arange(3000), values)
    found = []
    for segment_bytes in (90, 500, 1460, 60_000):
        body = encode([update], segment_bytes, INT8, Rounding(Draws(4), 0, 1))
        assert len(list(chunks(body, segment_bytes))) > 1 or segment_bytes == 60_000
        found.append(decode(body, segment_bytes, 3000)[0].values)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_a_held_list_changes_no_value():
    from cosim.learning.payload.codec import list_id

    rng = np.random.default_rng(2)
    chosen = np.flatnonzero(rng.random(2000) < 0.2)
    update = Update((0,), 0, chosen, rng.standard_normal(len(chosen)).astype(np.float32))
    name, rounding = list_id(chosen), Rounding(Draws(4), 0, 1)
    plain = decode(encode([update], 5000, INT8, rounding), 5000, 2000)[0]
    body = encode([update], 5000, INT8, rounding, {name})
    listed = decode(body, 5000, 2000, lists={name: chosen})[0]
    np.testing.assert_array_equal(plain.values, listed.values)
