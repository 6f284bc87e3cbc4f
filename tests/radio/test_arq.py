"""ARQ against a loop over packets, and against the geometric law."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.radio.arq import (
    Attempts,
    attempts_allowed,
    attempts_of,
    has_run,
    last_begins,
    mean_attempts,
    packet_ends,
)
from cosim.radio.packets import Packets, packetise


def ends_by_loop(lost, max_attempts):
    ends, used = [], 0
    for k, is_lost in enumerate(lost):
        used += 1
        if not is_lost or used == max_attempts:
            ends.append(k)
            used = 0
    return ends


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9))
def test_packet_ends(lost, max_attempts):
    got = packet_ends(np.array(lost, dtype=bool), max_attempts)
    np.testing.assert_array_equal(got, ends_by_loop(lost, max_attempts))


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9), st.integers(0, 40))
def test_attempts_of(lost, max_attempts, num_packets):
    ends = [-1, *ends_by_loop(lost, max_attempts)]
    expected = ends[num_packets] + 1 if num_packets < len(ends) else None
    assert attempts_of(np.array(lost, dtype=bool), num_packets, max_attempts) == expected


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 12))
def test_has_run(lost, length):
    text = "".join("x" if is_lost else "." for is_lost in lost)
    assert has_run(np.array(lost, dtype=bool), length) == ("x" * length in text)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 9))
def test_last_begins(lost, max_attempts):
    ends = ends_by_loop(lost, max_attempts)
    if ends:
        lost = np.array(lost[: ends[-1] + 1], dtype=bool)
        expected = ends[-2] + 1 if len(ends) > 1 else 0
        assert last_begins(lost, max_attempts) == expected


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 4), st.integers(1, 500))
def test_attempts_against_a_loop(lost, max_attempts, num_bytes):
    packets = packetise(num_bytes, 40, 10.0)
    lost = np.array(lost, dtype=bool)
    ends = np.array(ends_by_loop(lost, max_attempts)[: packets.num], dtype=int)
    attempts = Attempts.judged(packets, max_attempts, lost)
    if len(ends) == packets.num:
        lost = lost[: ends[-1] + 1]
    np.testing.assert_array_equal(attempts.lost, lost)
    np.testing.assert_array_equal(attempts.ends, ends)

    sizes, packet = [], 0
    for k in range(len(lost)):
        sizes.append(packets.bits()[min(packet, packets.num - 1)])
        packet += k in set(ends.tolist())
    total = np.concatenate([[0.0], np.cumsum(sizes)])
    every = np.arange(len(lost) + 1)
    np.testing.assert_array_equal(attempts.cumulative_bits(every), total)
    for k in every.tolist():
        assert attempts.bits_of(k) == total[k]
        assert attempts.lost_bits(k) == np.array(sizes)[:k][lost[:k]].sum()
        assert attempts.num_within(total[k]) == k
        assert attempts.num_within(total[k] + 1e-6) == k
        assert attempts.num_begun(total[k]) == min(k + 1, len(lost))
        through = np.zeros(packets.num, dtype=bool)
        for number, end in enumerate(ends):
            through[number] = end < k and not lost[end]
        np.testing.assert_array_equal(attempts.delivered(k), through)
    assert attempts.num_within(-1.0) == attempts.num_begun(-1.0) == 0
    assert attempts.num_within(-math.inf) == 0
    assert attempts.complete == (len(ends) == packets.num)
    assert attempts.total_bits == total[-1]


def test_attempts_allowed():
    assert attempts_allowed("reliable", None) == 8
    assert attempts_allowed("reliable", 3) == 3
    assert attempts_allowed("best_effort", None) == attempts_allowed("best_effort", 5) == 1


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("cap", [1, 2, 8])
def test_geometric_law(loss, cap):
    """Attempts per packet are geometric, capped; p^c of the packets stay lost.

    n = 100,000 attempts; means within 5 standard errors: false alarm below 1e-5 in all.
    """
    n = 100_000
    lost = np.random.default_rng(7).random(n) < loss
    ends = packet_ends(lost, cap)
    num = len(ends)
    used = np.diff(ends, prepend=-1)
    spread = 5 * used.std() / math.sqrt(num) + 1e-12
    assert abs(used.mean() - mean_attempts(loss, cap)) < spread
    residual = loss**cap
    spread = 5 * math.sqrt(residual * (1 - residual) / num) + 1e-12
    assert abs(lost[ends].mean() - residual) < spread


def test_packets_of_one_size_are_all_full():
    assert Packets(3, 8.0, 8.0).num_full == 3
    assert Packets(3, 8.0, 4.0).num_full == 2
