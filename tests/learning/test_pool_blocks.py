from itertools import combinations, pairwise

import numpy as np
import pytest

from cosim.learning.pool._blocks import Part, _cheapest, _cost, block_cost, cut, padded_size

COST = 128.0


def total(blocks):
    return sum(_cost(block, COST) for block in blocks)


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_cut_of_neighbours(seed):
    """Against all ways to cut; stretches that are too large are refused."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 50, 9)

    def cost(start, end):
        return np.inf if end - start > 5 else weights[end - 1] * (end - start) + 40.0

    best = np.inf
    for count in range(9):
        for places in combinations(range(1, 9), count):
            best = min(best, sum(cost(a, b) for a, b in pairwise([0, *places, 9])))
    found = _cheapest(9, cost)
    assert [found[0][0], found[-1][1]] == [0, 9]
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert sum(cost(a, b) for a, b in found) == best


@pytest.mark.parametrize("max_tokens", [1, 30, 200, 10**6])
def test_every_row_once_and_no_block_too_large(max_tokens):
    rng = np.random.default_rng(1)
    lengths = [rng.integers(1, 40, rng.integers(1, 9)).tolist() for _ in range(9)]
    blocks = cut(lengths, max_tokens, COST)
    rows = sorted((p.device, row) for block in blocks for p in block for row in p.rows)
    assert rows == [
        (device, row) for device, all_ in enumerate(lengths) for row in range(len(all_))
    ]
    for block in blocks:
        single = len(block) == 1 and len(block[0].rows) == 1
        assert padded_size(block) <= max_tokens or single
        assert all(p.length == max(lengths[p.device][row] for row in p.rows) for p in block)


def test_equal_devices_are_one_block_of_whole_devices():
    (block,) = cut([[10, 12, 9]] * 5, 4096, COST)
    assert block == tuple(Part(device, (0, 1, 2), 12) for device in range(5))


def test_one_very_long_device_is_apart():
    assert len(cut([[10] * 8] * 4 + [[200] * 8], 10**6, COST)) == 2


def test_one_long_row_of_each_device_is_apart():
    blocks = cut([[10] * 7 + [300]] * 4, 10**6, COST)
    assert sorted(padded_size(block) for block in blocks) == [280, 1200]


def test_padding_of_ragged_text_is_at_most_a_tenth():
    """Log-normal lengths of median 20, as of sentences; a model of ten million parameters."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(3.0, 0.6, (16, 8)), 3, 200).astype(int).tolist()
    blocks = cut(lengths, 4096, block_cost(10_000_000, gpu=False))
    assert sum(map(padded_size, blocks)) <= 1.1 * sum(map(sum, lengths))


def test_blocks_weigh_more_in_small_models_and_on_a_gpu():
    assert block_cost(1_100_000, gpu=False) == pytest.approx(COST)
    assert block_cost(11_000_000, gpu=False) == pytest.approx(COST / 10)
    assert block_cost(1_100_000, gpu=True) > COST
    ragged = [[5, 60]] * 3
    assert len(cut(ragged, 4096, 1.0)) == 2
    assert len(cut(ragged, 4096, 10_000.0)) == 1
    assert total(cut(ragged, 4096, COST)) <= total([cut([r], 4096, COST)[0] for r in ragged])
