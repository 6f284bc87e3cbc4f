"""Which coordinates fit a budget: a density of A and B, met to the entry.

The head, where there is one, is outside the budget and always sent: the budgets of P3 are of the
adapters, and a head that lacks entries is no classifier.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Layout, Mask
from cosim.learning.methods._masked import top_mask
from cosim.learning.methods.base import Cohort, Coordinates


def size_ab(layout: Layout) -> int:
    """Return the number of coordinates of all A and B."""
    return layout.size_a + layout.size_b


def with_head(layout: Layout, mask: Mask) -> Mask:
    """Return a mask of A and B [size_ab] as one of the whole adapter, with all of the head."""
    whole = np.ones(layout.size, dtype=np.bool_)
    whole[: size_ab(layout)] = mask
    return whole


def largest(layout: Layout, values: NDArray[np.floating], density: float) -> Mask:
    """Return the exactly ceil(density n) greatest |values| of all A and B, and the head.

    Args:
        layout: with n coordinates of A and B.
        values: [layout.size].
        density: above 0 and at most 1; its decimal digits are taken as exact.
    """
    return with_head(layout, top_mask(values[: size_ab(layout)], density))


def at_random(
    cohort: Cohort, density: float, purpose: str, device: int, round: int = 0
) -> Coordinates:
    """Return exactly ceil(density n) coordinates of A and B and the head, ascending.

    They are addressed by device and round, so whoever knows the seed can tell them.
    """
    layout = cohort.layout
    numbers = cohort.draws.generator(purpose, device, round).random(size_ab(layout))
    return np.flatnonzero(with_head(layout, top_mask(numbers, density)))


def rank_coordinates(layout: Layout, count: int) -> Coordinates:
    """Return the first `count` rows of every A and columns of every B, and the head, ascending."""
    chosen = np.zeros(layout.size, dtype=np.float32)
    for site in range(len(layout.sites)):
        layout.a(chosen, site)[:count] = 1
        layout.b(chosen, site)[:, :count] = 1
    chosen[layout.part_head] = 1
    return np.flatnonzero(chosen)


def whole_ranks(rank: int, density: float) -> int:
    """Return how many whole rank indices fit into a density of the adapter."""
    return math.floor(Fraction(repr(density)) * rank)
