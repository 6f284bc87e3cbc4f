"""Block Rayleigh: when it changes and what it is addressed by; its law is in tests/validation."""

import numpy as np
import pytest

from cosim.rng import Draws
from cosim.world.fading.base import FadingInstant
from cosim.world.fading.none import NoFading
from cosim.world.fading.rayleigh import Rayleigh


def no_doppler():
    raise AssertionError("block fading needs no Doppler phase")


def power(fading, low, high, t_s, seed=2):
    instant = FadingInstant(np.asarray(low), np.asarray(high), np.asarray(t_s, float), no_doppler)
    return fading.power(Draws(seed), instant)


def test_it_is_the_addressed_draw_of_the_block():
    fading = Rayleigh(coherence_time_s=0.5)
    expected = -np.log(1 - Draws(2).uniform("rayleigh", 3, 8, [0, 0, 1, 7]))
    assert power(fading, 3, 8, [0.0, 0.499, 0.5, 3.9]) == pytest.approx(expected)


@pytest.mark.parametrize("coherence_time_s", [0.1, 0.03, 0.007, 1 / 3, 1.7])
def test_it_is_drawn_again_at_every_multiple_of_the_coherence_time(coherence_time_s):
    # The channel is sampled at k * T in floating point: each sample must be in block k.
    fading = Rayleigh(coherence_time_s=coherence_time_s)
    k = np.arange(20_000)
    at_start = power(fading, 0, 1, k * coherence_time_s)
    assert at_start == pytest.approx(-np.log(1 - Draws(2).uniform("rayleigh", 0, 1, k)))
    inside = power(fading, 0, 1, (k[:, None] + [0.1, 0.5, 0.99]) * coherence_time_s)
    assert (inside == at_start[:, None]).all()
    assert fading.sample_interval_s(55.0) == fading.sample_interval_s(0.0) == coherence_time_s


def test_many_links_few_times_and_one_link_many_times_agree():
    fading = Rayleigh(coherence_time_s=1.0)
    low, high = np.array([[0], [0], [4]]), np.array([[1], [2], [9]])
    t_s = np.array([0.0, 3.3, 4.9, 77.0, 1e6])
    table = power(fading, low, high, t_s)
    assert table.shape == (3, 5)
    assert np.unique(table).size == 15
    for row in range(3):
        assert (power(fading, low[row], high[row], t_s) == table[row]).all()
        dense = power(fading, low[row, 0], high[row, 0], np.arange(100.0))
        assert (dense[[0, 3, 4, 77]] == table[row, :4]).all()
        late = power(fading, low[row, 0], high[row, 0], np.arange(999_990.0, 1_000_010.0))
        assert late[10] == table[row, 4]


def amplitude(fading, low, high, t_s, tap, k=None, seed=2):
    instant = FadingInstant(np.asarray(low), np.asarray(high), np.asarray(t_s, float), no_doppler)
    return fading.amplitude(Draws(seed), instant, tap, k)


@pytest.mark.parametrize("k", [None, 0.0, 3.0])
def test_the_amplitude_of_a_path_is_constant_in_a_block_and_the_same_in_every_shape(k):
    fading = Rayleigh(coherence_time_s=1.0)
    low, high = np.array([[0], [0], [4]]), np.array([[1], [2], [9]])
    t_s = np.array([0.0, 0.4, 3.3, 3.9, 77.0])
    table = amplitude(fading, low, high, t_s, tap=2, k=k)
    assert (table[:, [0, 2]] == table[:, [1, 3]]).all()
    assert np.unique(table).size == 9
    for row in range(3):
        assert (amplitude(fading, low[row], high[row], t_s, tap=2, k=k) == table[row]).all()
    for column in range(5):
        one_time = amplitude(fading, low, high, t_s[column], tap=2, k=k)
        assert (one_time[:, 0] == table[:, column]).all()


def test_power_is_that_of_the_first_path():
    fading, t_s = Rayleigh(coherence_time_s=1.0), np.arange(1000.0)
    first = amplitude(fading, 3, 8, t_s, tap=0)
    assert np.abs(first) ** 2 == pytest.approx(power(fading, 3, 8, t_s), rel=1e-12)
    # Rayleigh's test of uniform phases: n = 1000, 4 sigma (false alarm 1e-7 for this statistic).
    assert abs(np.mean(first / np.abs(first))) < 4 / np.sqrt(1000)


def test_paths_and_blocks_are_independent():
    # 8 paths x 4000 blocks: 28 correlations of sigma 1 / sqrt(n), at 5 sigma.
    fading, t_s = Rayleigh(coherence_time_s=1.0), np.arange(4000.0)
    paths = np.array([amplitude(fading, 3, 8, t_s, tap) for tap in range(8)])
    correlation = np.corrcoef(paths)[np.triu_indices(8, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
    assert np.abs(np.mean(paths[:, 1:] * paths[:, :-1].conj(), axis=1)).max() < 5 / np.sqrt(4000)


def test_shapes_broadcast():
    fading = Rayleigh()
    assert power(fading, 0, 1, 3.0).shape == ()
    assert power(fading, [0], [1], np.zeros((2, 3))).shape == (2, 3)
    assert power(fading, [[0]], [[1]], np.arange(4.0)).shape == (1, 4)
    assert power(fading, [0, 1], [1, 2], np.empty((0, 1))).shape == (0, 2)


def test_no_fading_is_one_and_never_changes():
    assert (power(NoFading(), [[0], [1]], [[1], [2]], [0.0, 1.0, 2.0]) == np.ones((2, 3))).all()
    assert NoFading().sample_interval_s(100.0) == np.inf


def test_the_coherence_time_must_be_above_zero():
    with pytest.raises(ValueError, match="greater than 0"):
        Rayleigh.model_validate({"coherence_time": "0 s"})
