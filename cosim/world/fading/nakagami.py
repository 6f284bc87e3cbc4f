"""Fading `nakagami`: block Nakagami-m, |h|^2 ~ Gamma(m, 1/m), drawn again every coherence time.

    |h|^2 = F^-1(u) / m,   F the regularised lower incomplete gamma function P(m, x)

u is the draw addressed by (link, block). Its mean is 1 and its variance 1/m: m = 1 is Rayleigh
fading, m = 1/2 a real Gaussian, the worst that the law knows, and m -> infinity no fading
(Nakagami, "The m-distribution", 1960).

The law speaks of one instant's power. It has no phase and no Doppler spectrum of its own, so that
there is neither a variant that follows the motion nor one for the paths of a delay profile; with a
line of sight `rician` has both.
"""

from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.rng import Draws
from cosim.units import Seconds
from cosim.world.fading._blocks import block_uniform, blocks_of
from cosim.world.fading.base import Fading, FadingInstant

# F^-1 is read from a table over w = ln(u / (1 - u)), where ln F^-1 is nearly straight. Cubic
# pieces of this width are good to 1e-8 of the power; 40 reaches beyond the ends of float64's u.
_STEP = 1.0 / 32.0
_END = 40.0


class Nakagami(Fading):
    """Block Nakagami-m fading.

    Attributes:
        m: shape, at least 1/2. The default, between Rayleigh's 1 and a mild 2, is an assumption
            of this project.
        coherence_time_s: how long a block is; the default is that of `rayleigh`.
    """

    m: Annotated[float, Field(ge=0.5, le=1000.0)] = 1.5
    coherence_time_s: Annotated[Seconds, Field(gt=0)] = 0.03

    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """F^-1(u) / m of each link's current block."""
        blocks = blocks_of(instant.t_s, self.coherence_time_s)
        return _inverse(self.m, block_uniform(draws, "nakagami", instant, blocks)) / self.m

    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """Every block."""
        return self.coherence_time_s


def _inverse(m: float, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the x of P(m, x) = u, for u in [0, 1)."""
    with np.errstate(divide="ignore"):  # u = 0, which the table's end stands for
        w = np.log(u) - np.log1p(-u)
    value, slope = _table(m)
    place = (np.clip(w, -_END, _END) + _END) / _STEP
    left = np.minimum(place.astype(np.intp), value.size - 2)
    x = place - left
    y = 1.0 - x
    # Hermite's cubic between two points; slopes are per step.
    log_inverse = (
        y * y * ((1.0 + 2.0 * x) * value[left] + x * slope[left])
        + x * x * ((1.0 + 2.0 * y) * value[left + 1] - y * slope[left + 1])
    )  # fmt: skip
    inverse: NDArray[np.float64] = np.exp(log_inverse)
    return inverse


@lru_cache(maxsize=16)
def _table(m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ln F^-1 at w = -40, ..., 40 and its slope, per step.

    d ln x / dw = u (1 - u) / (x f(x)), f(x) = x^(m - 1) e^-x / Gamma(m).
    """
    from scipy.special import expit, gammainccinv, gammaincinv, gammaln  # noqa: PLC0415  slow

    w = np.arange(-_END, _END + _STEP / 2.0, _STEP)
    below, above = expit(w), expit(-w)
    x = np.where(w < 0.0, gammaincinv(m, below), gammainccinv(m, above))
    value = np.log(x)
    slope = np.exp(np.log(below) + np.log(above) - (m * value - x - gammaln(m))) * _STEP
    return value, slope
