import math

import numpy as np
import pytest

from cosim.radio.sampling import sample_index, sample_times_s, tolerance_s


@pytest.mark.parametrize("interval_s", [0.1, 1e-3, 0.7e-3, 1 / 3])
def test_a_sample_holds_from_its_own_time_on(interval_s):
    # k dt / dt is just below k for some k: 0.3 / 0.1 is 2.9999999999999996.
    for k in range(2000):
        assert sample_index(k * interval_s, interval_s) == k
        assert sample_index((k + 0.999) * interval_s, interval_s) == k


def test_times_are_whole_multiples():
    np.testing.assert_array_equal(sample_times_s(3, 2, 0.1), [3 * 0.1, 4 * 0.1])


def test_a_channel_that_never_changes_has_one_sample():
    assert sample_index(12.0, math.inf) == 0
    np.testing.assert_array_equal(sample_times_s(0, 1, math.inf, static_s=7.0), [7.0])


@pytest.mark.parametrize("t_s", [0.0, 1e-3, 1.0, 1e6])
def test_tolerance_is_above_rounding_and_below_a_microsecond(t_s):
    assert 2 * math.ulp(t_s) < tolerance_s(t_s) < 1.1e-6
