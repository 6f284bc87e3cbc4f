from itertools import combinations, pairwise

import numpy as np
import pytest

from cosim.learning.pool._blocks import _BLOCK_COST_TOKENS, cut


def size(block):
    return len(block) * max(len(p.rows) for p in block) * max(p.length for p in block)


def cost(blocks):
    return sum(size(block) + _BLOCK_COST_TOKENS for block in blocks)


def cheapest(parts):
    """Try every way to cut the sorted parts into neighbours."""
    parts = sorted(parts, key=lambda p: (len(p.rows), p.length, p.device))
    best = np.inf
    for count in range(len(parts)):
        for places in combinations(range(1, len(parts)), count):
            edges = [0, *places, len(parts)]
            best = min(best, cost([parts[a:b] for a, b in pairwise(edges)]))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_the_cheapest_cut(seed):
    rng = np.random.default_rng(seed)
    lengths = [rng.integers(1, 60, rng.integers(1, 12)).tolist() for _ in range(7)]
    blocks = cut(lengths, 10**6)
    assert cost(blocks) == cheapest([part for block in blocks for part in block])


@pytest.mark.parametrize("max_tokens", [1, 30, 200, 10**6])
def test_every_row_once_and_no_block_too_large(max_tokens):
    rng = np.random.default_rng(1)
    lengths = [rng.integers(1, 40, rng.integers(1, 9)).tolist() for _ in range(9)]
    blocks = cut(lengths, max_tokens)
    rows = sorted((p.device, row) for block in blocks for p in block for row in p.rows)
    assert rows == [
        (device, row) for device, all_ in enumerate(lengths) for row in range(len(all_))
    ]
    for block in blocks:
        single = len(block) == 1 and len(block[0].rows) == 1
        assert size(block) <= max_tokens or single
        assert all(p.length == max(lengths[p.device][row] for row in p.rows) for p in block)


def test_equal_devices_are_one_block():
    (block,) = cut([[10, 12, 9]] * 5, 4096)
    assert [part.device for part in block] == list(range(5))


def test_one_very_long_device_is_apart():
    assert len(cut([[10] * 8] * 4 + [[200] * 8], 10**6)) == 2
