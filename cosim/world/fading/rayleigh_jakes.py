"""Fading `rayleigh_jakes`: Clarke's Rayleigh channel with Jakes' Doppler spectrum.

The autocorrelation of h over a Doppler phase of D cycles (the integral of f_d over time) is
J0(2 pi D), at any speeds, constant or not: h is a function of D alone and stands still when both
ends do.

Two long sums of sinusoids with Clarke's spectrum are synthesised once per seed, by FFT, on
periodic grids whose lengths in points are coprime. A link enters both at one addressed point X
and turns the second by an addressed angle:

    h(D) = (H1[(X + n D) mod N1] + e^(j p) H2[(X + n D) mod N2]) / sqrt(2),   n points per cycle

By the Chinese remainder theorem the pair of tables is one process with a period of N1 N2 / n =
1.7e10 cycles (200 days at 1 kHz), of which each link walks a stretch of its own.

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
  1/2 with itself at exactly such a distance. For the same reason two links whose ends move
  alike have correlation 1/2 at equal times if they enter one of the tables within a cycle of
  each other, which two in ten thousand pairs do.
"""

import math
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.rng import Draws
from cosim.world.fading.base import Fading, FadingInstant

_PURPOSE = "rayleigh_jakes"
_POINTS_PER_CYCLE = 32
_SIZES = (2**20, 3**12)  # coprime, and quick to transform
_PERIOD = math.prod(_SIZES)


class RayleighJakes(Fading):
    """Rayleigh fading with the Doppler shift of the ends' relative speed.

    Attributes:
        samples_per_cycle: channel samples per cycle of the largest Doppler shift.
    """

    samples_per_cycle: Annotated[int, Field(ge=2)] = 16

    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """|h(D)|^2 of each link at its Doppler phase D."""
        start, angle = _entries(draws, instant.low, instant.high)
        points = instant.doppler_cycles() * _POINTS_PER_CYCLE
        first, second = (
            _interpolate(table, np.mod(start, size) + points)
            for table, size in zip(_tables(draws), _SIZES, strict=True)
        )
        cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        # Real arithmetic: products of complex arrays may be fused, and then differ in the last
        # bit between the body and the end of an array.
        real = first[0] + (cosine * second[0] - sine * second[1])
        imaginary = first[1] + (cosine * second[1] + sine * second[0])
        power: NDArray[np.float64] = (real * real + imaginary * imaginary).astype(np.float64) / 2.0
        return power

    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """1 / (samples per cycle * largest Doppler shift)."""
        if max_doppler_hz == 0.0:
            return math.inf
        return 1.0 / (self.samples_per_cycle * max_doppler_hz)


def _entries(
    draws: Draws, low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each link's point in the joint period of the tables, and the angle of the second."""
    if low.size == high.size == 1:  # a generator is far quicker to set up than one address
        shape = np.broadcast_shapes(low.shape, high.shape)
        u = draws.generator(_PURPOSE, int(low.item()), int(high.item())).random(2)
        u = u.reshape((*(1 for _ in shape), 2))
    else:
        u = draws.uniform(_PURPOSE, low[..., np.newaxis], high[..., np.newaxis], np.arange(2))
    return u[..., 0] * _PERIOD, u[..., 1] * (2.0 * np.pi)


def _interpolate(
    table: NDArray[np.complex64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the real and imaginary part of a periodic table at `points` >= 0, linearly."""
    size = table.size - 2  # two points of the next period are appended
    within = points - size * np.floor(points * (1.0 / size))
    index = within.astype(np.intp)
    right = (within - index).astype(np.float32)
    left = np.float32(1.0) - right
    # A product that rounds past a whole number puts `within` at -1e-10 or `size`: both are read
    # right, since -1e-10 truncates to index 0.
    here, there = table.take(index), table.take(index + 1)
    return left * here.real + right * there.real, left * here.imag + right * there.imag


@lru_cache(maxsize=4)
def _tables(draws: Draws) -> tuple[NDArray[np.complex64], ...]:
    """Return the two tables of one seed, 13 MB."""
    return tuple(_synthesise(draws, number, size) for number, size in enumerate(_SIZES))


def _synthesise(draws: Draws, number: int, size: int) -> NDArray[np.complex64]:
    """Return one period of H, [size + 2], the last two points being the first two again.

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
    period = np.fft.ifft(spectrum) * size
    table = np.append(period, period[:2]).astype(np.complex64)
    table.flags.writeable = False
    return table
