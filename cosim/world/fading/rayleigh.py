"""Fading `rayleigh`: block Rayleigh, |h|^2 ~ Exp(1), drawn again every coherence time.

Block b of a link covers [b T, (b + 1) T); its power is -ln(1 - u), u the draw addressed by (link,
b). Blocks are independent of each other and of motion; `rayleigh_jakes` follows the motion.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.rng import Draws
from cosim.units import Seconds
from cosim.world.fading.base import Fading, FadingInstant

_PURPOSE = "rayleigh"
_WORDS_PER_COUNT = 4  # doubles that one count of Philox4x64 gives


class Rayleigh(Fading):
    """Block Rayleigh fading.

    Attributes:
        coherence_time_s: T. The default is 0.423 / f_d (Rappaport, "Wireless communications",
            2nd ed., eq. 5.40.c) of 1.2 m/s at 3.5 GHz.
    """

    coherence_time_s: Annotated[Seconds, Field(gt=0)] = 0.03

    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """-ln(1 - u) of each link's current block."""
        # A time b * T is to fall in block b although the quotient may round to just below it.
        blocks = instant.t_s / self.coherence_time_s * (1.0 + 8.0 * np.finfo(np.float64).eps)
        u = _uniform(draws, instant.low, instant.high, blocks.astype(np.int64))
        return -np.log1p(-u)

    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """Every block."""
        return self.coherence_time_s


def _uniform(
    draws: Draws, low: NDArray[np.int64], high: NDArray[np.int64], blocks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return `draws.uniform(purpose, low, high, blocks)`, fast for many blocks of one link."""
    if low.size == high.size == 1 and blocks.size > 0:
        first = int(blocks.min()) // _WORDS_PER_COUNT
        count = int(blocks.max()) + 1 - first * _WORDS_PER_COUNT
        if count <= 8 * blocks.size:  # dense enough that reading the stream through is cheaper
            generator = draws.generator(_PURPOSE, int(low.item()), int(high.item()))
            bits = generator.bit_generator
            assert isinstance(bits, np.random.Philox)
            bits.advance(first)
            u = generator.random(count)[blocks - first * _WORDS_PER_COUNT]
            return u.reshape(np.broadcast_shapes(low.shape, high.shape, blocks.shape))
    return draws.uniform(_PURPOSE, low, high, blocks)
