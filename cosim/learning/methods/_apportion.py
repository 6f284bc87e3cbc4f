"""Budgets that are divided and met to the entry: how many coordinates, whose share, and which."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.learning.adapter import Mask


def budget_of(density: float, size: int) -> int:
    """Return ceil(density size); the decimal digits of the density are taken as exact."""
    return math.ceil(Fraction(repr(density)) * size)


def density_left(drop: float) -> float:
    """Return 1 - drop in decimal digits: 0.3, where 1 - 0.7 is 0.30000000000000004."""
    return float(1 - Fraction(repr(drop)))


def largest(values: NDArray[np.floating], count: int) -> Mask:
    """Return the mask of exactly `count` entries of greatest value; ties: lowest index.

    Args:
        values: [n].
        count: from 0 to n.
    """
    if count == 0:
        return np.zeros(values.size, dtype=np.bool_)
    place = values.size - count
    threshold = np.partition(values, place)[place]
    mask: Mask = values > threshold
    ties = np.flatnonzero(values == threshold)
    mask[ties[: count - np.count_nonzero(mask)]] = True
    return mask


def apportion(total: int, weights: ArrayLike, caps: ArrayLike) -> NDArray[np.int64]:
    """Divide a budget in proportion to weights, none above its cap, by largest remainders.

    What a cap cuts off goes to the others, again in proportion to their weights; where the weights
    of all that have room are 0, evenly. Of equal remainders the one of lowest index is rounded up.

    Args:
        total: what to divide, at most the sum of the caps.
        weights: at least 0, [n].
        caps: largest share of each, whole numbers, [n].

    Returns:
        Shares of sum `total`, [n].

    Raises:
        ValueError: the caps have no room for the total.
    """
    weight = np.asarray(weights, dtype=np.float64)
    cap = np.asarray(caps, dtype=np.int64)
    if not 0 <= total <= cap.sum():
        raise ValueError(f"expected a total of 0 to {cap.sum()}, the sum of the caps, got {total}")
    quota = np.zeros(weight.size)
    room = cap > 0
    left = total
    while room.any():
        share = np.where(room, weight, 0.0)
        if share.sum() == 0:
            share = room.astype(np.float64)
        quota[room] = (left * (share / share.sum()))[room]
        full = room & (quota >= cap)
        if not full.any():
            break
        quota[full] = cap[full]
        left -= int(cap[full].sum())
        room &= ~full
    shares = np.floor(quota).astype(np.int64)
    remainder = np.where(shares < cap, quota - shares, -1.0)
    order = np.argsort(-remainder, kind="stable")
    shares[order[: total - shares.sum()]] += 1
    return shares
