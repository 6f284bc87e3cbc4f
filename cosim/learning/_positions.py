"""Ascending whole numbers as bytes: gaps of a fixed width, or a bitmap of the spanned range.

The first number is not among the bytes; it stands in the header of what they are part of. A run of
neighbours has gaps of width 0, so a dense range takes no bytes at all.
"""

import numpy as np
from numpy.typing import NDArray

BITMAP = 255  # the `width` that stands for a bitmap
MAX_WIDTH = 32


def gap_widths(positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return for each number the bits that its gap to the one before takes, less 1; first: 0."""
    gaps = np.diff(positions, prepend=positions[:1]) - 1
    gaps[:1] = 0
    widths: NDArray[np.uint8] = np.frexp(gaps)[1].astype(np.uint8)
    return widths


def num_bytes(width: int, count: int, span: int) -> int:
    """Return the bytes that `count` numbers take, of which the last is `span` above the first."""
    bits = span if width == BITMAP else (count - 1) * width
    return (bits + 7) // 8


def pack(positions: NDArray[np.int64], width: int) -> bytes:
    """Return the numbers as bytes, less the first.

    Args:
        positions: ascending, at least one.
        width: bits of each gap less 1, enough for the largest; or BITMAP.
    """
    if width == 0 or len(positions) == 1:
        return b""
    if width == BITMAP:
        bits = np.zeros(positions[-1] - positions[0], dtype=np.bool_)
        bits[positions[1:] - positions[0] - 1] = True
        return np.packbits(bits).tobytes()
    gaps = positions[1:] - positions[:-1] - 1
    size = _octets(width)
    bits = np.unpackbits(gaps.astype(f">u{size}").view(np.uint8)).reshape(-1, 8 * size)
    return np.packbits(bits[:, 8 * size - width :].ravel()).tobytes()


def unpack(data: bytes, width: int, first: int, count: int) -> NDArray[np.int64]:
    """Return the numbers that `pack` wrote, the first included.

    Raises:
        ValueError: a bitmap does not hold `count` numbers.
    """
    if width == 0 or count == 1:
        return np.arange(first, first + count)
    octets = np.frombuffer(data, dtype=np.uint8)
    if width == BITMAP:
        others = np.flatnonzero(np.unpackbits(octets)) + (first + 1)
        if len(others) != count - 1:
            raise ValueError(f"expected a bitmap of {count} numbers, got {len(others) + 1}")
        return np.concatenate([[first], others])
    positions = np.ones(count, dtype=np.int64)
    positions[0] = first
    size = _octets(width)
    padded = np.zeros((count - 1, 8 * size), dtype=np.uint8)
    bits = np.unpackbits(octets, count=(count - 1) * width)
    padded[:, 8 * size - width :] = bits.reshape(count - 1, width)
    positions[1:] += np.packbits(padded).view(f">u{size}")
    return positions.cumsum()


def _octets(width: int) -> int:
    """The least whole-number size in bytes that holds `width` bits."""
    return 1 if width <= 8 else 2 if width <= 16 else 4
