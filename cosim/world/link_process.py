"""Link process: one standard normal number for each link, correlated along its path.

    E[z(s) z(s + d)] = e^(-d)        s in units of the decorrelation distance   (Gudmundson)

Gudmundson, "Correlation model for shadow fading in mobile radio systems", Electronics Letters
27(23), 1991. For a link both ends move, and s is the sum of the distances that they have
travelled: two short steps are one long step in law, and a link that stands still keeps its value.

Two long stationary sequences are drawn once per seed and purpose on grids of coprime lengths,
`_POINTS` to the decorrelation distance, each a circular first-order autoregression. A link enters
both at an addressed point and takes their sum over sqrt(2); by the Chinese remainder theorem the
pair repeats only after a period of 10^9 decorrelation distances. Between two grid points the value
is their linear interpolation, scaled so that its variance is 1 everywhere.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cosim.rng import Draws

_POINTS = 32  # grid points to the decorrelation distance
_SIZES = (2**18, 3**11)  # coprime, and quick to transform
_PERIOD = math.prod(_SIZES)
_STEP = math.exp(-1.0 / _POINTS)  # correlation of neighbouring grid points


def link_process(
    draws: Draws,
    purpose: str,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    travelled: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return standard normal values, shape of `travelled`.

    Args:
        draws: the scenario's random numbers.
        purpose: which process; each has values of its own.
        low: one end of each link; broadcasts with `high` and `travelled`.
        high: the other end.
        travelled: distance travelled by both ends, added up, over the decorrelation distance, >= 0.
    """
    low, high = np.asarray(low), np.asarray(high)
    if low.size == high.size == 1:  # a generator is far quicker to set up than one address
        entry = draws.generator(purpose, int(low.item()), int(high.item())).random()
        enter = np.asarray(entry * _PERIOD)
    else:
        enter = draws.uniform(purpose, low, high) * _PERIOD
    points = np.asarray(travelled) * _POINTS
    value = np.zeros(np.broadcast_shapes(enter.shape, points.shape))
    for table, size in zip(_tables(draws, purpose), _SIZES, strict=True):
        value += _interpolate(table, np.mod(enter, size) + points)
    return value / math.sqrt(2.0)


def _interpolate(table: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of a periodic table at `points` >= 0, of variance 1."""
    size = table.size - 1  # the first point of the next period is appended
    within = np.mod(points, size)
    index = np.minimum(within.astype(np.intp), size - 1)
    right = within - index
    left = 1.0 - right
    spread = np.sqrt(left**2 + right**2 + 2.0 * _STEP * left * right)
    value: NDArray[np.float64] = (left * table.take(index) + right * table.take(index + 1)) / spread
    return value


@lru_cache(maxsize=16)
def _tables(draws: Draws, purpose: str) -> tuple[NDArray[np.float64], ...]:
    """Return the two sequences of one seed and purpose, 3.5 MB."""
    return tuple(_synthesise(draws, f"{purpose}_table", n, s) for n, s in enumerate(_SIZES))


def _synthesise(draws: Draws, purpose: str, number: int, size: int) -> NDArray[np.float64]:
    """Return one period of a circular AR(1) sequence, [size + 1], the last point the first again.

    x_k = a x_(k-1) + sqrt(1 - a^2) n_k around the circle has the transfer function
    sqrt(1 - a^2) / (1 - a e^(-jw)), and correlation a^d up to a^size, which is 0 in float64.
    """
    white = draws.generator(purpose, number).standard_normal(size)
    frequency = 2.0 * np.pi * np.arange(size // 2 + 1) / size
    response = math.sqrt(1.0 - _STEP**2) / (1.0 - _STEP * np.exp(-1j * frequency))
    period = np.fft.irfft(np.fft.rfft(white) * response, size)
    table = np.append(period, period[:1])
    table.flags.writeable = False
    return table
