"""Shares with which flows have rates in given proportions, as large as the band allows.

Wanted are shares s_f that sum to 1 with r_f(s_f) = t w_f for all flows, r_f the rate on a share
and t as large as possible. In x = ln s and L_f(x_f) = ln(r_f / w_f) all L_f must be one level. A
step of Newton's method puts in the place of each L_f its tangent, whose slope is a difference, and
finds the level at which the tangents' shares sum to 1:

    sum_f exp(x_f + (level - L_f) / slope_f) = 1

Shannon's L is concave (its slope falls from 1 to 0 as the share grows), so that the level of the
tangents lies above the level wanted and comes down to it from any start, at last quadratically. A
rate that moves in jumps (a table) may have no such shares: the steps become shorter then, and the
shares returned are those with the greatest least r_f / w_f of all that were looked at.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SPREAD = 1e-12  # between the logarithms of the greatest and least rate over weight
_LEAST_SHARE = 2.0**-50  # a flow that has no rate on it, at 150 dB more SNR, has none at all
_DIFFERENCE = 1e-4  # relative step in the share, for the slope
_LEAST_SLOPE = 1e-9
_FULL_STEPS, _SHORTER_STEPS, _SHORTER = 15, 25, 0.8
_LEVEL_STEPS = 60
_MOST_EXPONENT = 300.0
_EPS = float(np.finfo(np.float64).eps)


def equalise(rate_bps: Callable[[Floats], Floats], weight: Floats, num_slots: int) -> Floats:
    """Return shares with which the flows' rates are in the proportions of their weights.

    Slots do not influence each other, to the last bit.

    Args:
        rate_bps: rates [F, K] at shares of the band [F, K, 1], never falling with the share.
        weight: w, at least 0, [F].
        num_slots: K.

    Returns:
        Shares [F, K, 1] that sum to 1 in each slot; 0 for flows with a weight of 0 or without a
        rate (no gain), which the others do not wait for. Where the rates do not jump, rate over
        weight is the same for the others to 1e-12 relative (Shannon's rate, from -60 to 60 dB).
    """
    shape = len(weight), num_slots
    has_rate = rate_bps(np.full((*shape, 1), _LEAST_SHARE)) > 0.0
    served = has_rate & (weight > 0.0)[:, np.newaxis]
    divisor = np.where(served, weight[:, np.newaxis], 1.0)
    share = _filling(served.astype(np.float64))
    best, best_least = share, np.zeros(num_slots)
    step = 1.0
    for number in range(_FULL_STEPS + _SHORTER_STEPS):
        ratio = rate_bps(share[:, :, np.newaxis]) / divisor
        heard = served & (ratio > 0.0)
        is_silent = served & ~heard
        least = np.where(heard, ratio, np.inf).min(axis=0)
        # Relative to the least, so that differences keep their digits as they vanish.
        log_ratio = np.log(np.divide(ratio, least, out=np.ones(shape), where=heard))
        spread = log_ratio.max(axis=0)  # [K]
        is_cut_off = is_silent.any(axis=0)
        least = np.where(is_cut_off, 0.0, least)
        is_open = (spread > _SPREAD) | is_cut_off
        better = least > best_least
        best, best_least = np.where(better, share, best), np.where(better, least, best_least)
        if not is_open.any():
            break
        step = 1.0 if number < _FULL_STEPS else step * _SHORTER
        below = rate_bps((share * (1.0 - _DIFFERENCE))[:, :, np.newaxis]) / divisor
        rise = np.log(np.divide(ratio, below, out=np.ones(shape), where=heard & (below > 0.0)))
        slope = np.maximum(rise / -np.log1p(-_DIFFERENCE), _LEAST_SLOPE)
        level = _level(np.where(heard, share, 0.0), log_ratio, slope, heard, spread)
        change = np.clip(step * (level - log_ratio) / slope, -_MOST_EXPONENT, _MOST_EXPONENT)
        # On a smaller share a flow has a greater SNR, and may be heard.
        change = np.where(is_silent, -np.log(2.0), change)
        moved = np.where(served, np.maximum(share * np.exp(change), _LEAST_SHARE), 0.0)
        share = np.where(is_open, _filling(moved), share)
    return best[:, :, np.newaxis]


def _level(share: Floats, log_ratio: Floats, slope: Floats, heard: Bools, spread: Floats) -> Floats:
    """Return the level at which the shares of the tangents of flows that are heard sum to 1, [K].

    The logarithm of the sum is convex in the level, so that Newton's method comes down to the root
    from any place above: the greatest of all L, or where one flow alone has all of the band.
    """
    log_share = np.log(share, out=np.zeros(share.shape), where=heard)
    alone = np.where(heard, log_ratio - slope * log_share, np.inf).min(axis=0)
    level = np.minimum(alone, spread)
    enough = 1e-3 * spread + len(share) * _EPS
    for _ in range(_LEVEL_STEPS):
        change = np.clip((level - log_ratio) / slope, -_MOST_EXPONENT, _MOST_EXPONENT)
        part = share * np.exp(change)
        total = _sum(part)
        excess = np.log(total, out=np.zeros(total.shape), where=total > 0.0)
        is_above = np.abs(excess) > enough
        if not is_above.any():
            break
        rise = np.where(is_above, _sum(part / slope), np.inf)
        level = level - excess * total / rise
    return np.asarray(level)


def _filling(share: Floats) -> Floats:
    """Return shares [F, K] scaled so that they sum to 1 in each slot, or 0 where all are 0."""
    total = _sum(share)
    return np.asarray(np.divide(share, total, out=np.zeros(share.shape), where=total > 0.0))


def _sum(values: Floats) -> Floats:
    """Sum over flows in their order; `np.sum` adds in another order if there is one slot."""
    return np.asarray(np.cumsum(values, axis=0)[-1])
