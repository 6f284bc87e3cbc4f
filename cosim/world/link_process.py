"""Link process: one standard normal number for each link, correlated along its path.

    E[z(s) z(s + d)] = (1 + a d) e^(-a d)        smooth (Matern, 3/2): the state of sight
    E[z(s) z(s + d)] = e^(-d)                    Gudmundson: shadowing

with s in units of the decorrelation distance and a = 2.146, so that both fall to 1/e at d = 1.
Gudmundson, "Correlation model for shadow fading in mobile radio systems", Electronics Letters
27(23), 1991. For a link both ends move, and s is the sum of the distances that they have
travelled: two short steps are one long step in law, and a link that stands still keeps its value.

A state that is drawn by a threshold needs the smooth process: the other has no derivative, and near
a level crosses it without end. The smooth one crosses the level u a e^(-u^2 / 2) / pi times in a
decorrelation distance (Rice).

Two long periodic sequences are synthesised once per seed and purpose on grids of coprime lengths,
`_POINTS` points to the decorrelation distance. A link enters both at an addressed point and takes
their sum over sqrt(2); by the Chinese remainder theorem the pair repeats only after 10^9
decorrelation distances. Between two grid points the value is interpolated linearly; the variance
that this takes is given back by a draw of that grid step's own, or by scaling if smooth, so that
it is 1 everywhere.

What the tables cost in accuracy (held by tests/world/test_link_process.py):
- Interpolation changes the correlation by at most 0.008 within two grid steps and 3e-4 beyond; that
  of the smooth process by 8e-4, and takes 2 % of its crossings.
- A sequence's modes have random phases and fixed amplitudes: its mean is 0, its variance 1 and its
  correlation over the whole period exact. The law over all links of one seed is normal to about
  0.003 in distribution.
- Links whose ends move alike have correlation 1/2 at equal distances if they enter one of the
  sequences at the same place; 6 in ten thousand pairs do so within a decorrelation distance.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.rng import Draws

_POINTS = 32  # grid points to the decorrelation distance
_SIZES = (2**18, 3**11)  # coprime, and quick to transform
_PERIOD = math.prod(_SIZES)
SMOOTH_RATE = 2.1461932206205825  # a of (1 + a) e^(-a) = 1/e


def link_process(
    draws: Draws,
    purpose: str,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    travelled: ArrayLike,
    number: ArrayLike = 0,
    smooth: bool = True,
) -> NDArray[np.float64]:
    """Return standard normal values; all arguments broadcast to their shape [...].

    Args:
        draws: the scenario's random numbers.
        purpose: what for; each purpose has sequences of its own.
        low: one end of each link.
        high: the other end.
        travelled: distance travelled by both ends, added up, over the decorrelation distance, >= 0.
        number: which of a link's independent processes of this purpose, whole numbers >= 0.
        smooth: whether the process has a derivative, or Gudmundson's correlation.
    """
    even, odd, rest, step = _tables(draws, purpose, smooth)
    entry = _entries(draws, purpose, np.asarray(low), np.asarray(high), np.asarray(number))
    start = np.floor(entry)
    points = np.asarray(travelled) * _POINTS + (entry - start)
    whole = points.astype(np.int64)
    right = points - whole
    left = 1.0 - right
    whole = whole + start.astype(np.int64)
    at_even = whole & (_SIZES[0] - 1)
    at_odd = whole - _SIZES[1] * (whole // _SIZES[1])
    value = left * (even.take(at_even) + odd.take(at_odd))
    value += right * (even.take(at_even + 1) + odd.take(at_odd + 1))
    # The sum of the two has variance 2 (l^2 + r^2 + 2 step l r) = 2 - missing, since l + r = 1.
    missing = (4.0 * (1.0 - step)) * (left * right)
    if smooth:
        return np.asarray(value / np.sqrt(2.0 - missing))
    return np.asarray((value + np.sqrt(missing) * rest.take(at_even)) * math.sqrt(0.5))


def _entries(
    draws: Draws,
    purpose: str,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    number: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return where each link enters the joint period of the tables, in grid points."""
    count = int(number.max(initial=0)) + 1
    links = np.broadcast_shapes(low.shape, high.shape)
    shape = np.broadcast_shapes(links, number.shape)
    if math.prod(links) == 1:  # a generator is far quicker to set up than one address
        uniform = draws.generator(purpose, int(low.item()), int(high.item())).random(count)
        uniform = uniform[number].reshape(shape)
    elif math.prod(links) * count <= math.prod(shape):
        each = [draws.uniform(purpose, low, high, k) for k in range(count)]
        uniform = np.choose(number, each)
    else:
        uniform = draws.uniform(purpose, low, high, number)
    return np.asarray(uniform * _PERIOD)


@lru_cache(maxsize=16)
def _tables(
    draws: Draws, purpose: str, smooth: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return the two sequences of one seed and purpose, white noise, and the step's correlation.

    Together 5.6 MB.
    """
    even, odd = (
        _synthesise(draws, f"{purpose}_table", number, size, smooth)
        for number, size in enumerate(_SIZES)
    )
    rest = draws.generator(f"{purpose}_table", len(_SIZES)).standard_normal(_SIZES[0])
    rest.flags.writeable = False
    return even, odd, rest, float(_correlation(np.array([1.0 / _POINTS]), smooth)[0])


def _correlation(distance: NDArray[np.float64], smooth: bool) -> NDArray[np.float64]:
    scaled = SMOOTH_RATE * distance if smooth else distance
    correlation: NDArray[np.float64] = np.exp(-scaled)
    return correlation * (1.0 + scaled) if smooth else correlation


def _synthesise(
    draws: Draws, purpose: str, number: int, size: int, smooth: bool
) -> NDArray[np.float64]:
    """Return one period, [size + 1], the last point being the first again.

    The modes' powers are the transform of the correlation around the circle; their phases are
    random. The mean is set to 0 and the variance to 1.
    """
    around = np.arange(size)
    power = np.fft.rfft(_correlation(np.minimum(around, size - around) / _POINTS, smooth)).real
    phase = 2.0 * np.pi * draws.generator(purpose, number).random(power.size)
    modes = np.sqrt(np.maximum(power, 0.0)) * np.exp(1j * phase)
    modes[0] = 0.0
    period = np.fft.irfft(modes, size)
    period /= period.std()
    table = np.append(period, period[:1])
    table.flags.writeable = False
    return table
