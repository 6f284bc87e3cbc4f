"""Fading `rayleigh_jakes`: Clarke's Rayleigh channel with Jakes' Doppler spectrum.

The autocorrelation of h over a Doppler phase of D cycles (the integral of f_d over time) is
J0(2 pi D), at any speeds, constant or not: h is a function of D alone and stands still when both
ends do.

Two long sums of sinusoids with Clarke's spectrum are synthesised once per seed, by FFT, on
periodic grids whose lengths in points are coprime. A path of a link enters both at one addressed
point X and turns the second by an addressed angle:

    h(D) = (H1[(X + n D) mod N1] + e^(j p) H2[(X + n D) mod N2]) / sqrt(2),   n points per cycle

By the Chinese remainder theorem the pair of tables is one process with a period of N1 N2 / n =
1.7e10 cycles (200 days at 1 kHz), of which each path of each link walks a stretch of its own.

What the tables cost in accuracy (held by tests/world/test_rayleigh_jakes.py):
- Linear interpolation between grid points has the frequency response sinc^2(nu / n). The modes
  are amplified by its inverse, so that the spectrum within the Doppler shift is exact; what is
  left are images around n cycles, 1e-6 of the power: E|h|^2 = 1 + 1e-6 (0.3 % more on a grid
  point and 0.2 % less between two, where each link is at a place of its own), and the level
  crossing rate 0.1 % too high.
- A mode has a random phase and a fixed amplitude, so that the mean power of each table is
  exactly 1. Each has over 33,000 modes; the law of |h|^2 over all links of one seed is Exp(1)
  to about 0.001 in distribution.
- One table alone repeats after N1 / n = 32,768 or N2 / n = 16,608 cycles; h has correlation
  1/2 with itself at exactly such a distance. For the same reason two paths whose Doppler phases
  run alike (two paths of one link, or of links whose ends move alike) have correlation 1/2 at
  equal times if they enter one of the tables within a cycle of each other, which two in ten
  thousand pairs do.

What holding a sample costs, with n_s = `samples_per_cycle` samples in a cycle of the largest
Doppler shift (held by tests/validation/test_world_fading_laws.py). The mean, the law and the
ergodic capacity cost nothing: every sample has them. What changes is the course in time. A sample
is taken in the middle of the interval that it is held for; taken at the start, it would be half an
interval old on average, and the rate over one cycle six times as far off.

    n_s                                                                 8       10       16
    correlation of |h|^2 with its sample, end of interval, J0^2       0.925    0.952    0.981
    autocorrelation of |h|^2, largest error, below 5 / n_s^2          0.063    0.043    0.018
    rate at 10 dB, mean over one cycle, rms error of the mean         0.63 %   0.33 %   0.11 %
    the same over ten cycles                                          0.17 %   0.08 %   0.06 %
    level crossings seen at the rms level / at -20 dB                 97/32 %  98/38 %  99/57 %
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from cosim.rng import Draws
from cosim.world.fading._line_of_sight import with_line_of_sight
from cosim.world.fading.base import FadingInstant, PhasedFading

Floats32 = NDArray[np.float32]

_PURPOSE = "rayleigh_jakes"
_POINTS_PER_CYCLE = 32
_SIZES = (2**20, 3**12)  # coprime, and quick to transform
_PERIOD = math.prod(_SIZES)
# Samples that are worked on at once: few enough to stay in a core's second-level cache.
_CHUNK = 8_192


class RayleighJakes(PhasedFading):
    """Rayleigh fading with the Doppler shift of the ends' relative speed.

    Attributes:
        samples_per_cycle: channel samples per cycle of the largest Doppler shift.
    """

    samples_per_cycle: Annotated[int, Field(ge=2, le=1000)] = 8

    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """|h(D)|^2 of each link at its Doppler phase D."""
        power = np.empty(instant.shape)
        flat = power.reshape(-1)
        for part, real, imaginary in _paths(draws, instant, 0):
            np.multiply(real, real, out=real)
            np.multiply(imaginary, imaginary, out=imaginary)
            np.add(real, imaginary, out=real)
            np.multiply(real, np.float32(0.5), out=real)
            flat[part] = real
        return power

    def amplitude(
        self, draws: Draws, instant: FadingInstant, tap: int, k: ArrayLike | None = None
    ) -> NDArray[np.complex128]:
        """h(D), each path at a place of its own in the tables; without `k` no line of sight."""
        path = np.empty(instant.shape, dtype=np.complex128)
        flat = path.reshape(-1)
        scale = math.sqrt(0.5)
        for part, real, imaginary in _paths(draws, instant, tap):
            np.multiply(real, scale, out=flat.real[part], dtype=np.float64)
            np.multiply(imaginary, scale, out=flat.imag[part], dtype=np.float64)
        cycles = instant.doppler_cycles() if k is not None and np.any(k) else 0.0
        return with_line_of_sight(draws, instant, tap, k, path, cycles)

    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """1 / (samples per cycle * largest Doppler shift)."""
        if max_doppler_hz == 0.0:
            return math.inf
        return 1.0 / (self.samples_per_cycle * max_doppler_hz)


def _paths(
    draws: Draws, instant: FadingInstant, tap: int
) -> Iterator[tuple[slice, Floats32, Floats32]]:
    """Yield sqrt(2) h piece by piece: which of the results in order, real and imaginary part.

    The parts may be written to; they hold until the next piece.
    """
    shape, low, high = instant.shape, instant.low, instant.high
    if low.size == high.size == 1:
        places = _place(draws, low.item(), high.item(), tap)
    else:
        index = np.arange(2 * tap, 2 * tap + 2)
        u = draws.uniform(_PURPOSE, low[..., np.newaxis], high[..., np.newaxis], index)
        places = tuple(np.broadcast_to(each, shape).reshape(-1) for each in _places(u))
    cycles = instant.doppler_cycles()
    if cycles.shape != shape:
        cycles = np.broadcast_to(cycles, shape)
    cycles = cycles.reshape(-1)
    length = min(cycles.size, _CHUNK)
    readers = [_Reader(table, length) for table in _tables(draws)]
    points = np.empty(length)
    turned, other = np.empty((2, length), np.float32)
    for begin in range(0, cycles.size, _CHUNK):
        part = slice(begin, min(begin + _CHUNK, cycles.size))
        count = part.stop - begin
        here = points[:count]
        np.multiply(cycles[part], _POINTS_PER_CYCLE, out=here)
        start, second_start, c, s = (place if place.size == 1 else place[part] for place in places)
        real, imaginary = readers[0].at(here, start)
        x, y = readers[1].at(here, second_start)
        # Real arithmetic: products of complex arrays may be fused, and then differ in the last
        # bit between the body and the end of an array.
        a, b = turned[:count], other[:count]
        np.multiply(x, c, out=a)
        np.multiply(y, s, out=b)
        np.subtract(a, b, out=a)
        np.add(real, a, out=real)
        np.multiply(y, c, out=a)
        np.multiply(x, s, out=b)
        np.add(a, b, out=a)
        np.add(imaginary, a, out=imaginary)
        yield part, real, imaginary


def _places(u: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Return by draws [..., 2] where paths enter both tables, and e^(j p) of the second, [...]."""
    enter, angle = u[..., 0] * _PERIOD, u[..., 1] * (2.0 * np.pi)
    turn = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    return *(np.mod(enter, size) for size in _SIZES), *turn


@lru_cache(maxsize=16_384)
def _place(draws: Draws, low: int, high: int, tap: int) -> tuple[NDArray[Any], ...]:
    """Return `_places` of one path, which is asked for again and again."""
    u = draws.generator(_PURPOSE, low, high).random((tap + 1, 2))[-1:]
    return _places(u)


class _Reader:
    """Reads a table at one array of points after another, in buffers of its own.

    Args:
        table: two neighbouring points of H, real and imaginary part, for each place, [size + 1].
        length: the most points at a time.
    """

    def __init__(self, table: NDArray[np.complex128], length: int) -> None:
        self._table = table
        self._size = table.size - 1
        self._within, self._whole = np.empty((2, length))
        self._index = np.empty(length, np.intp)
        self._found = np.empty(length, np.complex128)
        self._right, self._left, self._product, self._real, self._imaginary = np.empty(
            (5, length), np.float32
        )

    def at(
        self, points: NDArray[np.float64], start: NDArray[np.float64] | float
    ) -> tuple[Floats32, Floats32]:
        """Return real and imaginary part at points >= 0 from `start` on, linearly, [K].

        They hold until the next call.
        """
        part = slice(points.size)
        within, whole, index = self._within[part], self._whole[part], self._index[part]
        np.add(points, start, out=within)
        np.multiply(within, 1.0 / self._size, out=whole)
        np.floor(whole, out=whole)
        np.multiply(whole, self._size, out=whole)
        np.subtract(within, whole, out=within)
        np.copyto(index, within, casting="unsafe")
        np.trunc(within, out=whole)
        np.subtract(within, whole, out=within)
        right, left, product = self._right[part], self._left[part], self._product[part]
        np.copyto(right, within, casting="same_kind")
        np.subtract(np.float32(1.0), right, out=left)
        # A product that rounds past a whole number puts `within` at -1e-10 or `size`: both are
        # read right, since -1e-10 truncates to index 0.
        found = self._table.take(index, out=self._found[part], mode="clip")
        parts = found.view(np.float32).reshape(-1, 4)
        values = self._real[part], self._imaginary[part]
        for column, value in enumerate(values):
            np.multiply(left, parts[:, column], out=value)
            np.multiply(right, parts[:, column + 2], out=product)
            np.add(value, product, out=value)
        return values


@lru_cache(maxsize=4)
def _tables(draws: Draws) -> tuple[NDArray[np.complex128], ...]:
    """Return the two tables of one seed, 25 MB, as `_Reader` reads them."""
    pairs = []
    for number, size in enumerate(_SIZES):
        period = _synthesise(draws, number, size)
        after = np.concatenate([period, period[:2]]).astype(np.complex64)
        table = np.stack([after[:-1], after[1:]], axis=1).view(np.complex128).ravel()
        table.flags.writeable = False
        pairs.append(table)
    return tuple(pairs)


def _synthesise(draws: Draws, number: int, size: int) -> NDArray[np.complex128]:
    """Return one period of H, [size].

    H at point x is the sum over modes k of sqrt(p_k) e^(j (2 pi k x / size + phase_k)), p_k the
    part of Clarke's spectrum 1 / (pi sqrt(1 - nu^2)) that is nearest to nu_k = k n / size.
    """
    width = _POINTS_PER_CYCLE / size  # between modes, in units of the Doppler shift
    last = math.ceil(1.0 / width)
    mode = np.arange(-last, last + 1)
    nu = mode * width
    edges = np.clip(np.append(nu, nu[-1] + width) - width / 2.0, -1.0, 1.0)
    share = np.diff(np.arcsin(edges)) / np.pi
    amplitude = np.sqrt(share) / np.sinc(nu / _POINTS_PER_CYCLE) ** 2
    phase = 2.0 * np.pi * draws.generator(f"{_PURPOSE}_table", number).random(mode.size)
    spectrum = np.zeros(size, dtype=np.complex128)
    spectrum[mode] = amplitude * np.exp(1j * phase)
    period: NDArray[np.complex128] = np.fft.ifft(spectrum) * size
    return period
