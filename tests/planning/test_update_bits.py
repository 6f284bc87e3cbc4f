import math

import numpy as np
import pytest

from cosim.learning.methods.base import Update
from cosim.learning.payload.codec import Rounding, encode
from cosim.planning.update_bits import UpdateBits
from cosim.rng import Draws
from cosim.scenario.tree import PayloadCoding


def bits_of(num_values, value_bits=16.0, fixed=0.0, knows=False, overhead=1.0):
    n = np.atleast_1d(np.asarray(num_values, float))
    ones = np.ones(n.shape)
    return UpdateBits(n, value_bits, fixed * ones, knows, overhead * ones)


def test_of_known_positions_only_values_count():
    bits = bits_of([1000, 2000], value_bits=32.0, knows=True)
    np.testing.assert_allclose(bits.at(0.25), [8000.0, 16000.0])
    np.testing.assert_allclose(bits.at(np.array([0.5, 0.1])), [16000.0, 6400.0])
    np.testing.assert_allclose(bits.at(np.array([[0.5], [1.0]])), [[16e3, 32e3], [32e3, 64e3]])


def test_positions_cost_little_more_than_the_entropy_of_the_mask():
    """Rice codes of geometric gaps: within 4 % of the entropy below one value in four."""
    d, n = np.array([0.001, 0.01, 0.05, 0.11, 0.25])[:, np.newaxis], 5000
    entropy = -d * np.log2(d) - (1 - d) * np.log2(1 - d)
    mask = bits_of(n).at(d) - n * 16 * d
    assert np.all(mask >= n * entropy)
    assert np.all(mask <= 1.04 * n * entropy)


def test_above_a_half_the_mask_is_a_bitmap():
    np.testing.assert_allclose(bits_of(1000).at(0.7), 1000 * (16 * 0.7 + 1))


def test_everything_and_nothing_have_no_mask():
    bits = bits_of(1000, fixed=300.0, overhead=1.1)
    np.testing.assert_allclose(bits.at(np.array([[0.0], [1.0]]))[:, 0], [330.0, 1.1 * 16300.0])


@pytest.mark.parametrize("value_bits", [8.0, 16.0, 32.0])
def test_it_never_falls_and_is_never_above_p1s_masks(value_bits):
    n = 4096.0
    d = np.linspace(0, 1, 20001)[:, np.newaxis]
    size = bits_of(n, value_bits).at(d)[:, 0]
    assert np.all(np.diff(size) >= 0)
    k = n * d[:, 0]
    assert np.all(size <= value_bits * k + n + 1e-6)
    assert np.all(size[k >= 1] <= (value_bits * k + k * math.ceil(math.log2(n)))[k >= 1] * 1.12)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_it_is_the_size_of_real_payloads(density, dtype):
    """Random masks of 100,000 coordinates through the codec, packet headers left out: 3 %."""
    n, segment_bytes = 100_000, 1460
    rng = np.random.default_rng(1)
    at = np.sort(rng.choice(n, round(density * n), replace=False)).astype(np.int64)
    update = Update((0,), 1, at, rng.standard_normal(len(at)).astype(np.float32))
    coding = PayloadCoding(dtype=dtype)
    body = encode([update], segment_bytes, coding, Rounding(Draws(1), 0, 1))
    headers = 4 + 20 + (4 if dtype == "int8" else 0)  # checksum, chunk, scale
    value_bits = {"float32": 32.0, "float16": 16.0, "int8": 8.0}[dtype]
    overhead = segment_bytes / (segment_bytes - headers)
    bits = bits_of(n, value_bits, overhead=overhead)
    np.testing.assert_allclose(bits.at(density), 8 * len(body), rtol=0.03)


@pytest.mark.parametrize("knows", [True, False])
def test_greatest_density_is_that_of_a_fine_grid(knows):
    bits = bits_of([1000, 3000, 500, 800], fixed=200.0, knows=knows)
    most = np.array([5000.0, 5000.0, 1e6, 100.0])
    grid = np.linspace(0.01, 0.9, 100_001)
    fits = bits.at(grid[:, np.newaxis]) <= most
    best = np.where(fits, grid[:, np.newaxis], 0.01).max(axis=0)
    found = bits.greatest_density(most, 0.01, 0.9)
    np.testing.assert_allclose(found, best, atol=1e-5)
    assert found[2:].tolist() == [0.9, 0.01]
    np.testing.assert_allclose(bits.at(found)[:2], 5000.0, rtol=1e-9)


def test_matched_has_the_sizes_that_are_known():
    bits = bits_of([1000, 2000, 0], fixed=0.0).matched(
        np.array([0.1, 0.3, 0.5]), np.array([3000.0, 9000.0, 0.0])
    )
    np.testing.assert_allclose(bits.at(np.array([0.1, 0.3, 0.5])), [3000.0, 9000.0, 0.0])
    assert np.all(np.diff(bits.at(np.linspace(0, 1, 50)[:, np.newaxis])[:, :2], axis=0) >= 0)


def test_rank_multiplies_what_is_sparse_alone():
    bits = bits_of(100, fixed=64.0, knows=True).of_rank(4)
    np.testing.assert_allclose(bits.at(0.5), 400 * 0.5 * 16 + 64)
