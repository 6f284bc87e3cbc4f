"""Which rows run together: devices with ragged batches are cut into dense blocks.

A block is g devices times b rows times T tokens, padded; its cost is taken as g b T plus a fixed
cost per block. Sorted by rows and length, the cheapest cut into neighbours is found exactly by
dynamic programming.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A forward and backward of the smallest block costs about as much as this many more tokens
# (measured on a 1.3 M-parameter model on one core).
_BLOCK_COST_TOKENS = 128


@dataclass(frozen=True)
class Part:
    """Rows of one device that stay together: their places in the device's batch."""

    device: int
    rows: tuple[int, ...]
    length: int  # tokens of the longest of them


def cut(lengths: Sequence[Sequence[int]], max_tokens: int) -> list[tuple[Part, ...]]:
    """Return blocks that hold every row once.

    Args:
        lengths: for each device the tokens of each of its rows, at least one row.
        max_tokens: largest padded size of a block; a single longer row is a block of its own.
    """
    parts = [
        part for device, rows in enumerate(lengths) for part in _parts(device, rows, max_tokens)
    ]
    parts.sort(key=lambda part: (len(part.rows), part.length, part.device))
    # best[i]: least cost of the first i parts, and where their last block begins
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(parts) + 1):
        rows, length = len(parts[end - 1].rows), 0
        choice = (math.inf, end - 1)
        for start in range(end - 1, -1, -1):
            length = max(length, parts[start].length)
            size = (end - start) * rows * length
            if size > max_tokens and start < end - 1:
                break
            choice = min(choice, (best[start][0] + size + _BLOCK_COST_TOKENS, start))
        best.append(choice)
    blocks: list[tuple[Part, ...]] = []
    end = len(parts)
    while end:
        start = best[end][1]
        blocks.append(tuple(sorted(parts[start:end], key=lambda part: (part.device, part.rows))))
        end = start
    return blocks[::-1]


def _parts(device: int, lengths: Sequence[int], max_tokens: int) -> list[Part]:
    """Cut one device's rows where they alone are larger than a block may be."""
    longest = max(lengths)
    step = max(1, max_tokens // longest)
    starts = range(0, len(lengths), step)
    return [
        Part(device, tuple(range(i, min(i + step, len(lengths)))), max(lengths[i : i + step]))
        for i in starts
    ]
