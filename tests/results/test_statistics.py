import math

import numpy as np
import pytest
from scipy import stats

from cosim.results.statistics import mean_interval


def test_interval_of_two_samples_by_hand():
    # t_{0.975, 1} = tan(0.475 pi) for one degree of freedom (Cauchy); s / sqrt(2) = |a - b| / 2.
    mean, half = mean_interval([[1.0, 5.0], [3.0, 5.0]])
    assert mean.tolist() == [2.0, 5.0]
    np.testing.assert_allclose(half, [math.tan(0.475 * math.pi), 0.0], rtol=1e-12)


def test_interval_covers_as_often_as_it_says():
    # 20,000 intervals from n = 4 normal samples. False alarm: binomial tail beyond 4 sigma, 6e-5.
    samples = np.random.default_rng(5).normal(3.0, 2.0, (4, 20_000))
    mean, half = mean_interval(samples, confidence=0.9)
    covered = np.mean(np.abs(mean - 3.0) <= half)
    assert abs(covered - 0.9) < 4.0 * math.sqrt(0.9 * 0.1 / 20_000)


def test_interval_is_the_same_as_scipys():
    samples = np.random.default_rng(1).exponential(size=7)
    mean, half = mean_interval(samples)
    low, high = stats.t.interval(0.95, 6, loc=samples.mean(), scale=stats.sem(samples))
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-12)


def test_one_sample_has_no_interval_and_none_is_an_error():
    mean, half = mean_interval([[0.5, 0.25]])
    assert mean.tolist() == [0.5, 0.25]
    assert np.isnan(half).all()
    with pytest.raises(ValueError, match="at least one sample"):
        mean_interval([])
