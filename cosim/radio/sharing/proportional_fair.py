"""Proportional fair: each resource block to the flow whose rate is best relative to its average.

    winner(k, c) = argmax over flows f of R[f, k, c] / T[f]          (T fixed within a slot)
    T[f] <- (1 - 1/window) T[f] + (1/window) * sum of R[f, k, c] over the blocks it won

In the long run this maximises sum log T (Viswanath, Tse, Laroia, "Opportunistic beamforming using
dumb antennas", IEEE Trans. Inf. Theory 48(6), 2002, section II). Flows with the same law of fading
around different means get the same fraction of slots, each near its own peaks.

R[f, k, c] is what the block adds to the rate that the flow would have with all of the band: that
rate, split between the blocks by their capacities log2(1 + SNR). So T counts a block at the power
density of the whole band, also where the flow wins few blocks and puts its power in those.

One slot depends on the one before, so there is a loop over slots; all flows are worked on at once
in arrays that are made before it. Guessing the winners of many slots, and guessing again from the
averages that follow, finds the same but is slower: most guesses are wrong after a few slots.
"""

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.radio.sharing._blocks import given_to
from cosim.radio.sharing.base import Demand, Division, SharingRule
from cosim.units import Seconds

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_LEAST_FIRST_BPS = 1.0


class ProportionalFair(SharingRule):
    """Each resource block to the flow with the best rate over average rate, slot by slot.

    Attributes:
        slot_s: length of a slot. The default is a subframe (38.211, clause 4.3.1).
        window: slots over which the average forgets, at least 2.
    """

    exclusive: ClassVar[bool] = True

    slot_s: Annotated[Seconds, Field(gt=0)] = 1e-3
    window: Annotated[int, Field(ge=2)] = 50

    def divide(self, demand: Demand) -> Division:
        """Return 1 for each block's winner, [F, K, C], and the average rates, [F, K].

        The average of a new flow starts at its rate in the first slot over F, as if it had had its
        turns before, and at 1 bit/s over F at least. Of equal ratios the first flow's wins; a
        block in which nobody has a rate stays empty.
        """
        with_all_bps = demand.rate_bps(np.ones((demand.num_flows, demand.num_slots, 1)))  # [F, K]
        block_bps = _split(with_all_bps, np.ascontiguousarray(demand.snr()))
        first_bps = np.maximum(with_all_bps[:, 0], _LEAST_FIRST_BPS) / demand.num_flows
        average_bps = np.where(np.isnan(demand.memory), first_bps, demand.memory)
        decide = _decide_flat if block_bps.shape[2] == 1 else _decide
        with np.errstate(over="ignore"):  # long without a turn, T is tiny: an infinite claim
            winner, averages_bps = decide(block_bps, average_bps, 1.0 / self.window)
        return Division(given_to(winner, block_bps), averages_bps)


def _split(with_all_bps: Floats, snr: Floats) -> Floats:
    """Return what each block adds to the rate with all of the band, [F, K, C]."""
    if snr.shape[2] == 1:
        return with_all_bps[:, :, np.newaxis]
    capacity = np.log1p(snr)
    whole = capacity.sum(axis=2, keepdims=True)
    fraction = np.divide(capacity, whole, out=np.zeros(snr.shape), where=whole > 0.0)
    return np.asarray(with_all_bps[:, :, np.newaxis] * fraction)


def _decide_flat(block_bps: Floats, average_bps: Floats, gain: float) -> tuple[Ints, Floats]:
    """Return `_decide`'s result for one block: the same numbers, in a third of the time."""
    rates = np.ascontiguousarray(block_bps[:, :, 0].T)  # [K, F]
    num_slots, num_flows = rates.shape
    winners: list[int] = []
    averages = np.empty((num_slots, num_flows))
    ratio, before, keep = np.empty(num_flows), average_bps, np.full(num_flows, 1.0 - gain)
    best, divide, multiply, note = ratio.argmax, np.divide, np.multiply, winners.append
    for rate, after in zip(rates, averages, strict=True):
        divide(rate, before, ratio)
        won = int(best())
        note(won)
        multiply(before, keep, after)
        after[won] = after.item(won) + gain * rate.item(won)
        before = after
    return np.array(winners, dtype=np.intp)[:, np.newaxis], averages.T


def _decide(block_bps: Floats, average_bps: Floats, gain: float) -> tuple[Ints, Floats]:
    """Return who wins each block in each slot, [K, C], and the averages after each slot, [F, K].

    Args:
        block_bps: R, [F, K, C].
        average_bps: T before the first slot, [F], above 0.
        gain: 1 / window.
    """
    rates = np.ascontiguousarray(block_bps.transpose(1, 2, 0))  # [K, C, F]
    num_slots, num_blocks, num_flows = rates.shape
    winner = np.empty((num_slots, num_blocks), dtype=np.intp)
    averages = np.empty((num_slots, num_flows))
    ratio, before, keep = np.empty((num_blocks, num_flows)), average_bps, 1.0 - gain
    blocks = np.arange(num_blocks)
    for rate, won, after in zip(rates, winner, averages, strict=True):
        np.divide(rate, before, ratio)
        ratio.argmax(1, won)
        served = np.bincount(won, rate[blocks, won], num_flows)
        np.multiply(before, keep, after)
        after += gain * served
        before = after
    return winner, averages.T
