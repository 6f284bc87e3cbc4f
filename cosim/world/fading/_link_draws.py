"""Draws that belong to a link for good, quick to ask for again and again."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cosim.rng import Draws


def link_draws(
    draws: Draws,
    purpose: str,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    first: int,
    count: int,
) -> NDArray[np.float64]:
    """Return numbers `first` to `first + count - 1` of each link's stream, [..., count].

    `low` and `high` broadcast to [...].
    """
    if low.size == high.size == 1:
        u = np.array(_of_one_link(draws, purpose, int(low.item()), int(high.item()), first, count))
        return u.reshape((*np.broadcast_shapes(low.shape, high.shape), count))
    index = np.arange(first, first + count)
    return draws.uniform(purpose, low[..., np.newaxis], high[..., np.newaxis], index)


@lru_cache(maxsize=16_384)
def _of_one_link(
    draws: Draws, purpose: str, low: int, high: int, first: int, count: int
) -> tuple[float, ...]:
    # A generator is far quicker to set up than one address is to work out, but still costs more
    # than a hundred samples of a channel.
    u: list[float] = draws.generator(purpose, low, high).random(first + count)[first:].tolist()
    return tuple(u)
