"""When a channel is sampled, and when two instants are one.

A link's gain is sampled once in each whole interval: its value in the middle holds on
[k dt, (k + 1) dt). Times are float64 sums whose last digits depend on the order of summation, so
comparisons of times need one agreed tolerance; without it, a packet that ends exactly on a sample
would belong to either side by rounding.

The tolerance is a trillionth of the clock: 1 ps at 1 s, 1 ns at 17 minutes. That is 10^4 times
the rounding of one sum, and far below any packet's time on the air.
"""

import math

import numpy as np
from numpy.typing import NDArray

_RELATIVE = 1e-12
_LEAST_S = 1e-15  # at the clock's start


def tolerance_s(t_s: float) -> float:
    """Return how far instants around `t_s` may lie apart and still be one."""
    return _RELATIVE * t_s + _LEAST_S


def tolerances_s(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `tolerance_s` of each time, shape of `t_s`."""
    return _RELATIVE * t_s + _LEAST_S


def sample_index(t_s: float, interval_s: float) -> int:
    """Return the k of the sample that holds at `t_s`; 0 for a channel that never changes."""
    return math.floor((t_s + tolerance_s(t_s)) / interval_s)


def sample_times_s(
    first: int, num: int, interval_s: float, static_s: float = 0.0
) -> NDArray[np.float64]:
    """Return the times of samples `first`, ..., `first + num - 1`, [num].

    Args:
        first: k of the first sample.
        num: how many.
        interval_s: dt; infinite for a channel that never changes.
        static_s: the time to look at a channel that never changes.
    """
    if math.isinf(interval_s):
        return np.full(num, static_s)
    return np.asarray(np.arange(first, first + num) * interval_s, np.float64)
