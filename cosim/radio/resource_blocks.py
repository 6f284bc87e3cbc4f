"""Resource blocks: how many a band has, who gets how many, which ones, and where they lie.

A resource block is 12 subcarriers wide (38.211, clause 4.4.4.1).
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cosim.scenario.tree import Spectrum

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUBCARRIERS_PER_BLOCK = 12

# 38.101-1, Table 5.3.2-1 (FR1): blocks by subcarrier spacing in kHz and channel bandwidth in MHz.
_BY_SPACING = {
    15: {3: 15, 5: 25, 10: 52, 15: 79, 20: 106, 25: 133, 30: 160, 35: 188, 40: 216, 45: 242}
    | {50: 270},
    30: {5: 11, 10: 24, 15: 38, 20: 51, 25: 65, 30: 78, 35: 92, 40: 106, 45: 119, 50: 133}
    | {60: 162, 70: 189, 80: 217, 90: 245, 100: 273},
    60: {10: 11, 15: 18, 20: 24, 25: 31, 30: 38, 35: 44, 40: 51, 45: 58, 50: 65, 60: 79}
    | {70: 93, 80: 107, 90: 121, 100: 135},
}
_NUM_BLOCKS: dict[tuple[float, float], int] = {
    (spacing_khz, bandwidth_mhz): num
    for spacing_khz, by_bandwidth in _BY_SPACING.items()
    for bandwidth_mhz, num in by_bandwidth.items()
}
_ROUNDING = 1e-9  # of a block: below it a fraction is rounding


def block_width_hz(subcarrier_spacing_hz: float) -> float:
    """Return the bandwidth of one resource block, 12 subcarriers."""
    return SUBCARRIERS_PER_BLOCK * subcarrier_spacing_hz


def num_blocks(bandwidth_hz: float, subcarrier_spacing_hz: float) -> int:
    """Return how many resource blocks a channel has.

    That is the number of 38.101-1 Table 5.3.2-1, guard bands left out, for channels of 3 to 100 MHz
    and spacings of 15, 30 and 60 kHz; and all that fit for a band that the table does not have.

    Raises:
        ValueError: not one block fits.
    """
    channel = _whole(subcarrier_spacing_hz / 1e3), _whole(bandwidth_hz / 1e6)
    if channel in _NUM_BLOCKS:
        return _NUM_BLOCKS[channel]
    width_hz = block_width_hz(subcarrier_spacing_hz)
    fitting = math.floor(bandwidth_hz / width_hz + _ROUNDING)
    if fitting < 1:
        raise ValueError(
            f"expected room for a resource block of {width_hz / 1e3:g} kHz, got "
            f"{bandwidth_hz / 1e3:g} kHz; widen the band or narrow the subcarriers"
        )
    return fitting


def usable_band(spectrum: "Spectrum") -> tuple[float, int | None]:
    """Return the width in Hz of a band that is used, and its number of resource blocks.

    Guard bands are left out where there are blocks. The number is None for a band that can be cut
    anywhere.

    Raises:
        ValueError: as `num_blocks`.
    """
    blocks = spectrum.resource_blocks
    if blocks is None:
        return spectrum.bandwidth_hz, None
    count = blocks.count or num_blocks(spectrum.bandwidth_hz, blocks.spacing_hz)
    return count * block_width_hz(blocks.spacing_hz), count


def _whole(value: float) -> float:
    """Return a value that is a whole number up to rounding as just that; others as they are."""
    nearest = round(value)
    return nearest if math.isclose(value, nearest, rel_tol=1e-9) else value


def offsets_hz(num_blocks: int, subcarrier_spacing_hz: float) -> Floats:
    """Return the blocks' centre frequencies relative to the carrier, ascending, [C].

    The blocks lie side by side around the carrier.
    """
    places = np.arange(num_blocks) - (num_blocks - 1) / 2.0
    return np.asarray(places * block_width_hz(subcarrier_spacing_hz), np.float64)


def whole_blocks(shares: Floats, num_blocks: int) -> Floats:
    """Return how many blocks each flow gets, [F, K]: whole ones, unless some take turns.

    Each flow gets its quota (share times number of blocks) rounded down; the blocks that are then
    left of what all quotas sum to, rounded down, go one each to the largest fractions (Hamilton's
    method). So no flow is a whole block or more away from its quota, a flow with a share of 0 gets
    none, and who has more of the band has not fewer blocks. Of equal fractions the first flow's
    goes first.

    Where a flow would have to do without, there are turns instead: each flow has its quota, and
    what is not a whole block is a part of the time of blocks that several have together.

    Args:
        shares: of the band, at least 0, summing to at most 1, [F, K, 1].
        num_blocks: of the band.
    """
    quotas = shares[:, :, 0] * num_blocks  # [F, K]
    nearest = np.rint(quotas)
    quotas = np.where(np.abs(quotas - nearest) < _ROUNDING, nearest, quotas)
    counts = np.floor(quotas)
    # Fractions that differ by rounding alone are equal.
    fractions = np.rint((quotas - counts) / _ROUNDING)
    total = np.floor(np.cumsum(quotas, axis=0)[-1] + len(quotas) * _ROUNDING)  # [K]
    left = np.minimum(total, num_blocks) - counts.sum(axis=0)
    order = np.argsort(-fractions, axis=0, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(quotas))[:, np.newaxis], axis=0)
    whole = counts + (rank < left)
    does_without = ((whole == 0.0) & (shares[:, :, 0] > 0.0)).any(axis=0)
    return np.asarray(np.where(does_without, quotas, whole))


def deal(blocks: Floats, num_blocks: int) -> Floats:
    """Return what part of each block each flow gets, [F, K, C]: 1 where a whole block is its own.

    Distributed over the band for frequency diversity: the flows take their blocks one flow after
    the other in bit-reversed order (0, C/2, C/4, 3C/4, ... where C is a power of 2), of which any
    run of neighbours is spread over the band. Last come the blocks of those who take turns, of
    which each has the same part of all that they have together.

    Args:
        blocks: of each flow in each slot, summing over flows to at most C, [F, K].
        num_blocks: C.
    """
    counts = np.floor(blocks + _ROUNDING)
    in_turns = np.maximum(blocks - counts, 0.0)
    together = np.ceil(in_turns.sum(axis=0) - len(blocks) * _ROUNDING)  # [K]
    end = np.cumsum(np.concatenate([counts, together[np.newaxis]]), axis=0)[:, :, np.newaxis]
    start = np.concatenate([np.zeros((1, *end.shape[1:])), end[:-1]])
    turn = _turns(num_blocks)
    held = np.asarray((start <= turn) & (turn < end), dtype=np.float64)
    each = np.divide(in_turns, together, out=np.zeros(blocks.shape), where=together > 0.0)
    return np.asarray(held[:-1] + each[:, :, np.newaxis] * held[-1])


def _turns(num_blocks: int) -> Ints:
    """Return when each block's turn is, [C]: its place among all in bit-reversed order."""
    num_bits = max(num_blocks - 1, 1).bit_length()
    blocks = np.arange(num_blocks)
    reverse = np.zeros(num_blocks, dtype=np.int64)
    for bit in range(num_bits):
        reverse |= ((blocks >> bit) & 1) << (num_bits - 1 - bit)
    return np.argsort(np.argsort(reverse))
