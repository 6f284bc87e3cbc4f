"""Learning curves: their values, and that a fit finds what made the scores."""

import numpy as np
import pytest

from cosim.learning.curve import Curve, fitted


def test_a_curve_falls_from_its_start_to_its_end():
    curve = Curve(start=2.0, end=0.5, n0=100.0, power=1.0)
    np.testing.assert_allclose(curve.value([0, 100, 300]), [2.0, 1.25, 0.875])
    assert curve.value(1e12) == pytest.approx(0.5)
    assert np.all(np.diff(curve.value(np.arange(1000))) < 0)
    n = [0.0, 3.0, 2500.0]
    np.testing.assert_allclose(curve.examples(curve.value(n)), n, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "curve",
    [
        Curve(start=0.3, end=0.9, n0=250.0, power=1.2),
        Curve(start=1.4, end=0.1, n0=80.0, power=0.6),
    ],
)
def test_a_fit_finds_the_curve_that_made_the_scores(curve):
    n = np.arange(0, 4000, 80)
    fit = fitted(n, curve.value(n))
    assert fit.rms < 1e-6
    between = np.arange(0, 4000, 7)
    np.testing.assert_allclose(fit.curve.value(between), curve.value(between), atol=1e-4)


def test_a_fit_says_how_far_the_scores_lie_from_it():
    curve = Curve(start=0.3, end=0.9, n0=250.0, power=1.0)
    n = np.repeat(np.arange(0, 4000, 80), 20)
    noise = np.where(np.arange(len(n)) % 2, 0.05, -0.05)  # its mean is 0 at every n
    fit = fitted(n, curve.value(n) + noise)
    assert fit.rms == pytest.approx(0.05, abs=1e-4)
    assert fit.curve.noise == fit.rms
    np.testing.assert_allclose(fit.curve.value(n), curve.value(n), atol=2e-3)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="four different numbers of examples or more, got 3"):
        fitted([0, 0, 1, 2], [1.0, 1.0, 0.5, 0.2])
