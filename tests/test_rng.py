"""Addressed randomness: the same numbers whatever the order, chunks, process and way of asking."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cosim.rng import _CHUNK, Draws

_WORD = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(st.integers(0, 2**70), st.text(max_size=20), _WORD, _WORD)
def test_both_ways_give_the_same_numbers(seed, purpose, a, b):
    """NumPy's own Philox is the oracle of the array version."""
    draws = Draws(seed)
    stream = draws.generator(purpose, a, b).random(23)
    assert np.array_equal(draws.uniform(purpose, a, b, np.arange(23)), stream)


def test_far_positions_are_those_of_the_stream():
    generator = Draws(3).generator("x", 1, 2)
    generator.bit_generator.advance(2**40 // 4)
    assert Draws(3).uniform("x", 1, 2, 2**40) == generator.random()


def test_order_and_shape_do_not_matter():
    draws = Draws(5)
    a, b, index = np.meshgrid(np.arange(3), np.arange(4), np.arange(5), indexing="ij")
    whole = draws.uniform("x", a, b, index)
    assert whole.shape == (3, 4, 5)
    order = np.random.Generator(np.random.Philox(1)).permutation(60)
    scattered = draws.uniform("x", a.ravel()[order], b.ravel()[order], index.ravel()[order])
    assert np.array_equal(scattered, whole.ravel()[order])
    assert draws.uniform("x", 2, 3, 4) == whole[2, 3, 4]
    assert np.array_equal(draws.uniform("x", np.arange(3)[:, None], 1, np.arange(5)), whole[:, 1])


def test_chunks_leave_no_seam():
    index = np.arange(2 * _CHUNK + 5)
    whole = Draws(1).uniform("x", 1, 2, index)
    around = slice(_CHUNK - 3, _CHUNK + 3)
    assert np.array_equal(Draws(1).uniform("x", 1, 2, index[around]), whole[around])
    assert np.array_equal(whole, Draws(1).generator("x", 1, 2).random(index.size))


def test_no_addresses_no_numbers():
    assert Draws(1).uniform("x", [], [], []).shape == (0,)


def test_one_address_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = Draws(1).uniform("x", 1, 2, 3)
    assert value.shape == ()
    assert 0.0 <= float(value) < 1.0


@pytest.mark.parametrize("address", [1.0, "1", True, np.array([1.5])])
def test_addresses_are_whole_numbers(address):
    with pytest.raises(TypeError, match="expected whole numbers as an address, got"):
        Draws(1).uniform("x", address)


def test_purposes_entities_and_seeds_have_numbers_of_their_own():
    """All of these are different doubles; two equal by chance has probability below 1e-10."""
    values = [
        *Draws(1).uniform("x", np.arange(200), 0, 0),
        *Draws(1).uniform("x", 0, np.arange(1, 200), 0),
        *Draws(1).uniform("x", 0, 0, np.arange(1, 200)),
        *Draws(1).uniform("y", np.arange(200), 0, 0),
        *Draws(2).uniform("x", np.arange(200), 0, 0),
        *Draws(1).child("x").uniform("x", np.arange(200)),
        *Draws(1).child("x", 1).uniform("x", np.arange(200)),
    ]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("axis", ["a", "b", "index"])
def test_uniform_along_every_axis(axis):
    """Kolmogorov-Smirnov, n = 20,000, false alarm 1e-6 each; and no serial correlation, 5 sigma."""
    values = Draws(11).uniform("x", **{axis: np.arange(20_000)})
    assert stats.kstest(values, "uniform").pvalue > 1e-6
    serial = np.corrcoef(values[:-1], values[1:])[0, 1]
    assert abs(serial) < 5 / np.sqrt(values.size)


def test_the_same_in_another_process():
    """Neither the hash seed of Python nor the process is part of an address."""
    script = "from cosim.rng import Draws; print(repr(float(Draws(9).uniform('x', 1, 2, 3))))"
    for hash_seed in ("0", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert float(done.stdout) == Draws(9).uniform("x", 1, 2, 3)


def test_a_recorded_number():
    """A change of hash or generator would silently change every published result."""
    assert float(Draws(1).uniform("mobility", 0, 0, 0)) == 0.03332192325892602


def test_a_stretch_is_the_part_of_the_stream():
    draws = Draws(3)
    whole = draws.generator("x", 5, 9).random(50)
    for first, count in [(0, 50), (0, 1), (1, 3), (4, 4), (7, 30), (49, 1), (3, 0)]:
        assert (draws.stretch("x", 5, 9, first, count) == whole[first : first + count]).all()
    assert (draws.stretch("x", 9, 5, 0, 50) != whole).all()
    far = draws.uniform("y", 2**40, 7, np.arange(2**45, 2**45 + 6))
    assert (draws.stretch("y", 2**40, 7, 2**45, 6) == far).all()


def test_a_stretch_does_not_change_what_was_read_before():
    draws = Draws(3)
    first = draws.stretch("x", 1, 2, 0, 8)
    kept = first.copy()
    draws.stretch("x", 1, 3, 0, 8)
    assert (first == kept).all()
