import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.radio.resource_blocks import deal, num_blocks, offsets_hz, whole_blocks

# --- how many


@pytest.mark.parametrize(
    ("bandwidth_hz", "spacing_hz", "expected"),
    [
        (5e6, 15e3, 25),
        (10e6, 15e3, 52),
        (20e6, 15e3, 106),
        (50e6, 15e3, 270),
        (10e6, 30e3, 24),
        (100e6, 30e3, 273),
        (40e6, 60e3, 51),
        (100e6, 60e3, 135),
    ],
)
def test_channels_of_the_standard(bandwidth_hz, spacing_hz, expected):
    assert num_blocks(bandwidth_hz, spacing_hz) == expected


# 38.101-1, Table 5.3.3-1: least guard at each edge in kHz, (B - N 12 df - df) / 2.
GUARDS_KHZ = {
    15: "3:142.5 5:242.5 10:312.5 15:382.5 20:452.5 25:522.5 30:592.5 35:572.5 40:552.5 45:712.5 "
    "50:692.5",
    30: "5:505 10:665 15:645 20:805 25:785 30:945 35:925 40:905 45:1065 50:1045 60:825 70:965 "
    "80:925 90:885 100:845",
    60: "10:1010 15:990 20:1330 25:1310 30:1290 35:1630 40:1610 45:1590 50:1570 60:1530 70:1490 "
    "80:1450 90:1410 100:1370",
}


@pytest.mark.parametrize("spacing_khz", [15, 30, 60])
def test_the_table_leaves_the_guards_of_the_standard(spacing_khz):
    pairs = (pair.split(":") for pair in GUARDS_KHZ[spacing_khz].split())
    expected = {int(bandwidth): float(guard) for bandwidth, guard in pairs}
    found = {}
    for bandwidth_mhz in expected:
        num = num_blocks(bandwidth_mhz * 1e6, spacing_khz * 1e3)
        found[bandwidth_mhz] = (1e3 * bandwidth_mhz - (12 * num + 1) * spacing_khz) / 2
    assert found == expected


def test_a_band_that_the_table_does_not_have_is_filled():
    assert num_blocks(7e6, 15e3) == 38
    assert num_blocks(9e6, 15e3) == 50, "it fits exactly"
    with pytest.raises(ValueError, match=r"room for a resource block of 180 kHz, got 100 kHz"):
        num_blocks(100e3, 15e3)


def test_offsets():
    np.testing.assert_array_equal(offsets_hz(1, 15e3), [0.0])
    np.testing.assert_allclose(offsets_hz(4, 15e3), [-270e3, -90e3, 90e3, 270e3])
    assert np.diff(offsets_hz(273, 30e3)) == pytest.approx(360e3)
    assert offsets_hz(273, 30e3).sum() == pytest.approx(0.0, abs=1e-3)


# --- how many for whom


def counts_of(*shares, num_blocks):
    return whole_blocks(np.array(shares, float)[:, np.newaxis, np.newaxis], num_blocks)[:, 0]


@pytest.mark.parametrize(
    ("shares", "num", "expected"),
    [
        ((1.0,), 52, [52]),
        ((1 / 3, 1 / 3, 1 / 3), 52, [18, 17, 17]),
        ((0.25, 0.25, 0.5), 2, [0.5, 0.5, 1]),  # two take turns
        ((0.1, 0.6, 0.3), 5, [1, 3, 1]),  # quotas .5, 3, 1.5: the tie goes to the first
        ((0.0, 1.0), 7, [0, 7]),
        ((0.5, 0.25), 4, [2, 1]),  # a quarter of the band is nobody's
        ((0.24, 0.24), 4, [0.96, 0.96]),
        ((0.3, 0.3), 4, [1, 1]),  # 2.4 blocks are two
        ((0.06, 0.94), 5, [0.3, 4.7]),  # the fifth block in turns
        ((0.1,) * 10, 3, [0.3] * 10),
    ],
)
def test_whole_blocks_by_hand(shares, num, expected):
    np.testing.assert_allclose(counts_of(*shares, num_blocks=num), expected, rtol=1e-12)


@st.composite
def divisions(draw):
    """Shares [F, K, 1] that fill the band or part of it, some equal, some 0."""
    num_flows, num_slots = draw(st.integers(1, 20)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    raw = rng.uniform(0, 1, (num_flows, num_slots, 1)) ** draw(st.sampled_from([0, 1, 5]))
    raw[rng.random(raw.shape) < draw(st.sampled_from([0.0, 0.4]))] = 0.0
    total = np.maximum(raw.sum(axis=0), 1e-9)
    fill = draw(st.sampled_from([1.0, 1.0, 0.37]))
    return fill * raw / total, draw(st.integers(1, 300))


@given(divisions())
def test_no_block_is_lost_or_given_twice(division):
    """All that the quotas sum to, rounded down; and to the last bit where some take turns."""
    shares, num = division
    blocks = whole_blocks(shares, num)
    total = shares[:, :, 0].sum(axis=0) * num
    in_turns = (blocks % 1.0 != 0.0).any(axis=0)
    expected = np.where(in_turns, total, np.floor(total + 1e-7))
    np.testing.assert_allclose(blocks.sum(axis=0), expected, atol=1e-7)
    dealt = deal(blocks, num)
    assert dealt.shape == (len(shares), shares.shape[1], num)
    assert np.isin(dealt[:, ~in_turns], (0.0, 1.0)).all()
    assert dealt.sum(axis=0).max(initial=0.0) <= 1 + 1e-9
    np.testing.assert_allclose(dealt.sum(axis=2), blocks, atol=1e-7)


@given(divisions())
def test_nobody_with_a_share_does_without(division):
    shares, num = division
    blocks, quotas = whole_blocks(shares, num), shares[:, :, 0] * num
    assert (blocks > 0.0)[quotas > 1e-8].all()
    # Turns are for want of blocks: where each flow has a whole one, all blocks are whole.
    each_has_one = ((quotas >= 1.0) | (quotas == 0.0)).all(axis=0)
    assert (blocks[:, each_has_one] % 1.0 == 0.0).all()


@given(divisions())
def test_each_flow_is_within_a_block_of_its_share_and_in_their_order(division):
    shares, num = division
    counts, quotas = whole_blocks(shares, num), shares[:, :, 0] * num
    assert np.abs(counts - quotas).max() < 1
    assert (counts[quotas == 0] == 0).all()
    for count, quota in zip(counts.T, quotas.T, strict=True):
        more = quota[:, np.newaxis] > quota + 1e-6
        assert (count[:, np.newaxis] >= count)[more].all()
        equal = quota[:, np.newaxis] == quota
        earlier = np.arange(len(count))[:, np.newaxis] < np.arange(len(count))
        assert (count[:, np.newaxis] >= count)[equal & earlier].all()


@given(divisions())
def test_slots_do_not_influence_each_other(division):
    shares, num = division
    one_by_one = [whole_blocks(shares[:, [k]], num) for k in range(shares.shape[1])]
    np.testing.assert_array_equal(np.concatenate(one_by_one, axis=1), whole_blocks(shares, num))


@given(divisions(), st.integers(0, 19))
def test_more_of_the_band_is_not_fewer_blocks(division, flow):
    """One flow's share grows at the cost of what nobody has."""
    shares, num = division
    flow %= len(shares)
    more = 0.9 * shares
    before = whole_blocks(more, num)[flow]
    more[flow] += 0.1 * (1 - more.sum(axis=0) / 0.9).clip(0) + 0.05
    assert (whole_blocks(more, num)[flow] >= before).all()


# --- which ones


def test_blocks_are_dealt_over_the_band():
    dealt = deal(np.array([[4], [2], [2]]), 8)[:, 0]
    np.testing.assert_array_equal(dealt[0], [1, 0, 1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(dealt[1], [0, 1, 0, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(dealt[2], [0, 0, 0, 1, 0, 0, 0, 1])


@pytest.mark.parametrize("num", [25, 52, 106, 273])
@pytest.mark.parametrize("num_flows", [2, 3, 5, 8])
def test_a_flow_s_blocks_are_spread_over_the_band(num, num_flows):
    """The widest gap between a flow's blocks is at most four times what even spacing has."""
    counts = whole_blocks(np.full((num_flows, 1, 1), 1 / num_flows), num)
    for row in deal(counts, num)[:, 0]:
        mine = np.flatnonzero(row)
        edges = np.concatenate([[-1], mine, [num]])
        assert np.diff(edges).max() <= 4 * num / len(mine)


def test_what_nobody_has_stays_free():
    dealt = deal(np.array([[1, 0], [2, 0]]), 5)
    np.testing.assert_array_equal(dealt.sum(axis=(0, 2)), [3, 0])
