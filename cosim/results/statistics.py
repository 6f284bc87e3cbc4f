"""Means over seeds, and how sure they are."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95


def mean_interval(
    samples: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and half width of Student's t-interval for it.

        half = t_{(1 + confidence) / 2, n - 1} * s / sqrt(n)

    Exact for independent samples of a normal law. With one sample the half width is NaN: one seed
    says nothing about others.

    Args:
        samples: [n, ...]; independent along the first axis.
        confidence: probability that the interval covers the mean.

    Returns:
        Two arrays [...].
    """
    values = np.asarray(samples, dtype=np.float64)
    n = len(values)
    if n == 0:
        raise ValueError("expected at least one sample, got none")
    mean = values.mean(axis=0)
    if n == 1:
        return mean, np.full_like(mean, math.nan)
    from scipy.stats import t  # noqa: PLC0415  slow to load, and not needed for one seed

    spread = values.std(axis=0, ddof=1) / math.sqrt(n)
    spread = np.where((values == values[0]).all(axis=0), 0.0, spread)  # not what rounding leaves
    half: NDArray[np.float64] = t.ppf((1.0 + confidence) / 2.0, n - 1) * spread
    return mean, half
