"""Block fading: one addressed number for each link and block of time, the coherence time.

Block b of a link covers [b T, (b + 1) T).
"""

import numpy as np
from numpy.typing import NDArray

from cosim.rng import Draws
from cosim.world.fading.base import FadingInstant


def blocks_of(t_s: NDArray[np.float64], coherence_time_s: float) -> NDArray[np.int64]:
    """Return the block that each time is in."""
    # A time b * T is to fall in block b although the quotient may round to just below it.
    blocks = t_s / coherence_time_s * (1.0 + 8.0 * np.finfo(np.float64).eps)
    return np.asarray(blocks).astype(np.int64)


def block_uniform(
    draws: Draws, purpose: str, instant: FadingInstant, blocks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return `draws.uniform(purpose, low, high, blocks)`, fast for many blocks of one link."""
    low, high = instant.low, instant.high
    if low.size == high.size == 1 and blocks.size > 0:
        first = int(blocks.min())
        count = int(blocks.max()) + 1 - first
        if count <= 8 * blocks.size:  # dense enough that reading the stream through is cheaper
            u = draws.stretch(purpose, low.item(), high.item(), first, count)
            return u.take(blocks - first).reshape(instant.shape)
    return draws.uniform(purpose, low, high, blocks)
