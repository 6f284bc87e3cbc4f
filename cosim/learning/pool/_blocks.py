"""Which rows run together: the rows of all devices, of ragged lengths, are cut into blocks.

A block is rows times T tokens, padded to the longest. It costs these tokens and a fixed cost for
the block; if its devices do not all have equally many rows there, their low-rank products are not
one batch but run device by device, which costs something for each. Two cuts are found exactly by
dynamic programming, into neighbours of what is sorted by length: one of whole devices, one of rows.
The cheaper one is taken.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

# What a block costs beside its tokens, as many more tokens of a model of 1.1 M parameters (a
# forward and backward of the smallest block), and each device in it if they are not one batch
# (both measured on one core).
_BLOCK_COST = 128 * 1.1e6
_DEVICE_COST = 1 / 8
# A GPU runs through as many more tokens in the time that it takes to start the block's kernels.
_GPU_FACTOR = 100


@dataclass(frozen=True)
class Part:
    """Rows of one device in a block: their places in the device's batch."""

    device: int
    rows: tuple[int, ...]
    length: int  # tokens of the longest of them


def block_cost(num_parameters: int, gpu: bool) -> float:
    """Return what a block costs beside its tokens, in tokens of a model of this size."""
    return _BLOCK_COST / max(num_parameters, 1) * (_GPU_FACTOR if gpu else 1)


def cut(
    lengths: Sequence[Sequence[int]], max_tokens: int, block_cost: float
) -> list[tuple[Part, ...]]:
    """Return blocks that hold every row once.

    Args:
        lengths: for each device the tokens of each of its rows.
        max_tokens: largest padded size of a block; a single longer row is a block of its own.
        block_cost: what a block costs beside its tokens, in tokens.
    """
    cuts = (_whole(lengths, max_tokens, block_cost), _ragged(lengths, max_tokens, block_cost))
    blocks: list[tuple[Part, ...]] = min(
        cuts, key=lambda blocks: sum(_cost(block, block_cost) for block in blocks)
    )
    return blocks


def padded_size(block: Sequence[Part]) -> int:
    """Return the tokens of a block, padding counted."""
    return sum(len(part.rows) for part in block) * max(part.length for part in block)


def _cost(block: Sequence[Part], block_cost: float) -> float:
    equal = len({len(part.rows) for part in block}) == 1
    return padded_size(block) + block_cost * (1 if equal else 1 + len(block) * _DEVICE_COST)


def _whole(
    lengths: Sequence[Sequence[int]], max_tokens: int, block_cost: float
) -> list[tuple[Part, ...]]:
    """Cut devices; rows of one device stay together if they are not too large themselves."""
    by_count: dict[int, list[Part]] = {}
    for device, rows in enumerate(lengths):
        step = max(1, max_tokens // max(rows))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            part = Part(device, tuple(range(start, start + len(some))), max(some))
            by_count.setdefault(len(some), []).append(part)
    blocks = []
    for count, parts in sorted(by_count.items()):
        parts.sort(key=lambda part: (part.length, part.device))

        def cost(start: int, end: int, parts: Sequence[Part] = parts, count: int = count) -> float:
            size = (end - start) * count * parts[end - 1].length
            return math.inf if size > max_tokens and end - start > 1 else size + block_cost

        for start, end in _cheapest(len(parts), cost):
            blocks.append(tuple(sorted(parts[start:end], key=lambda p: (p.device, p.rows))))
    return blocks


def _ragged(
    lengths: Sequence[Sequence[int]], max_tokens: int, block_cost: float
) -> list[tuple[Part, ...]]:
    """Cut rows; those of one length stay together if they are not too large themselves."""
    levels: dict[int, list[tuple[int, int]]] = {}  # rows (device, place) by length
    for device, rows in enumerate(lengths):
        for place, length in enumerate(rows):
            levels.setdefault(length, []).append((device, place))
    order = sorted(levels)
    counts = [0, *accumulate(len(levels[length]) for length in order)]

    def cost(start: int, end: int) -> float:
        rows = counts[end] - counts[start]
        size = rows * order[end - 1]
        if size > max_tokens and end - start > 1:
            return math.inf
        return size + block_cost * (1 + min(rows, len(lengths)) * _DEVICE_COST)

    blocks: list[tuple[Part, ...]] = []
    for start, end in _cheapest(len(order), cost):
        there = sorted(row for length in order[start:end] for row in levels[length])
        step = max(1, max_tokens // order[end - 1])
        blocks.extend(_block(there[i : i + step], lengths) for i in range(0, len(there), step))
    return blocks


def _cheapest(count: int, cost: Callable[[int, int], float]) -> list[tuple[int, int]]:
    """Return the cheapest cut of a sequence into neighbours, each from a start to before an end.

    `cost(start, end)` is infinite where these are too large, and so for every earlier start.
    """
    # best[i]: least cost of the first i, and where their last stretch begins
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, count + 1):
        choice = (math.inf, end - 1)
        for start in range(end - 1, -1, -1):
            stretch = cost(start, end)
            if stretch == math.inf:
                break
            choice = min(choice, (best[start][0] + stretch, start))
        best.append(choice)
    cuts = []
    end = count
    while end:
        start = best[end][1]
        cuts.append((start, end))
        end = start
    return cuts[::-1]


def _block(rows: Sequence[tuple[int, int]], lengths: Sequence[Sequence[int]]) -> tuple[Part, ...]:
    """Return the parts of a block, of rows that are sorted by device."""
    by_device: dict[int, list[int]] = {}
    for device, place in rows:
        by_device.setdefault(device, []).append(place)
    return tuple(
        Part(device, tuple(places), max(lengths[device][place] for place in places))
        for device, places in by_device.items()
    )
