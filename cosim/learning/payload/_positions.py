"""Ascending whole numbers as bytes: gaps of a fixed width, or under a Rice code.

The first number is not among the bytes; it stands in the header of what they are part of. A gap is
what lies between two numbers, so a run of neighbours has gaps of 0, and of width 0 they take no
bytes at all.

A Rice code (Rice and Plaunt 1971) of parameter k writes the k low bits of each gap as they are,
and the rest of it as so many zeros and a one. Of all codes bit by bit it is all but the shortest
for the gaps of a random mask. That of parameter 0 is a bitmap of the spanned range. Here all low
bits come first and all else after them.
"""

import numpy as np
from numpy.typing import NDArray

MAX_WIDTH = 32
RICE = 64  # the coding of parameter k is RICE + k; below it are gaps of a fixed width


def is_coding(coding: int) -> bool:
    """Return whether there is such a coding."""
    return 0 <= coding <= MAX_WIDTH or RICE <= coding <= RICE + MAX_WIDTH


def gaps(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what lies between each number and the one before; first: 0."""
    between = np.diff(positions, prepend=positions[:1]) - 1
    between[:1] = 0
    return between


def widths(between: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the bits that each gap takes."""
    bits: NDArray[np.uint8] = np.frexp(between)[1].astype(np.uint8)
    return bits


def rice_parameter(between: NDArray[np.int64]) -> int:
    """Return the parameter of the shortest Rice code of these gaps."""
    # One more low bit costs a bit a gap and saves half of what is left, rounded up: so the sizes
    # fall until they rise.
    k, left = 0, int(between.sum())
    while True:
        fewer = int((between >> (k + 1)).sum())
        if left - fewer <= len(between) or k == MAX_WIDTH:
            return k
        k, left = k + 1, fewer


def num_bytes(coding: int, count: int, quotients: int = 0) -> int:
    """Return the bytes that `count` numbers take.

    Args:
        coding: width of the gaps, or RICE + k.
        count: of the numbers, the first included.
        quotients: sum of the gaps over 2^k, each rounded down; of a fixed width it is not asked.
    """
    bits = (count - 1) * coding
    if coding >= RICE:
        bits = (count - 1) * (coding - RICE + 1) + quotients
    return (bits + 7) // 8


def smallest(positions: NDArray[np.int64]) -> int:
    """Return the coding in which these numbers take the fewest bytes."""
    between = gaps(positions)
    width = int(widths(between).max())
    if width == 0:
        return 0
    k = rice_parameter(between[1:])
    rice = num_bytes(RICE + k, len(positions), int((between >> k).sum()))
    return RICE + k if rice < num_bytes(width, len(positions)) else width


def pack(positions: NDArray[np.int64], coding: int) -> bytes:
    """Return the numbers as bytes, less the first.

    Args:
        positions: ascending, at least one.
        coding: bits of each gap, enough for the largest; or RICE + k.
    """
    if coding == 0 or len(positions) == 1:
        return b""
    between = positions[1:] - positions[:-1] - 1
    if coding < RICE:
        return np.packbits(_low_bits(between, coding)).tobytes()
    k = coding - RICE
    ones = np.cumsum((between >> k) + 1) - 1
    unary = np.zeros(ones[-1] + 1, dtype=np.uint8)
    unary[ones] = 1
    return np.packbits(np.concatenate([_low_bits(between, k), unary]) if k else unary).tobytes()


def unpack(data: bytes, coding: int, first: int, count: int) -> NDArray[np.int64]:
    """Return the numbers that `pack` wrote, the first included.

    Raises:
        ValueError: a Rice code does not hold `count` numbers.
    """
    if coding == 0 or count == 1:
        return np.arange(first, first + count)
    k = coding - RICE if coding >= RICE else coding
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    split = (count - 1) * k
    if len(bits) < split:
        raise ValueError(f"expected {split} bits of {count} positions, got {len(bits)}")
    between = _from_low_bits(bits[:split], k, count - 1)
    if coding >= RICE:
        ones = np.flatnonzero(bits[split:])
        if len(ones) != count - 1:
            raise ValueError(f"expected a Rice code of {count} numbers, got {len(ones) + 1}")
        between += (np.diff(ones, prepend=-1) - 1) << k
    positions = np.empty(count, dtype=np.int64)
    positions[0] = first
    np.cumsum(between + 1, out=positions[1:])
    positions[1:] += first
    return positions


def _low_bits(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return the `width` low bits of each, highest first, in a row."""
    size = _octets(width)
    bits = np.unpackbits(numbers.astype(f">u{size}").view(np.uint8)).reshape(-1, 8 * size)
    return bits[:, 8 * size - width :].ravel()


def _from_low_bits(bits: NDArray[np.uint8], width: int, count: int) -> NDArray[np.int64]:
    if width == 0:
        return np.zeros(count, dtype=np.int64)
    size = _octets(width)
    padded = np.zeros((count, 8 * size), dtype=np.uint8)
    padded[:, 8 * size - width :] = bits.reshape(count, width)
    return np.packbits(padded).view(f">u{size}").astype(np.int64)


def _octets(width: int) -> int:
    """The least whole-number size in bytes that holds `width` bits."""
    return 1 if width <= 8 else 2 if width <= 16 else 4
