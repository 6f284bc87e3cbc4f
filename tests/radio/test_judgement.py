"""Judgement against a loop over attempts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.radio.arq import packet_ends
from cosim.radio.judgement import judge


def by_loop(u, snr, loss, max_attempts, combining):
    """Attempt by attempt, receiver by receiver."""
    missing = np.zeros(u.shape, dtype=bool)
    has, total, used = np.zeros(len(u), dtype=bool), np.zeros(len(u)), 0
    for m in range(u.shape[1]):
        used += 1
        for r in range(len(u)):
            total[r] += snr[r, m]
            counts = total[r] if combining else snr[r, m]
            if u[r, m] >= loss(np.array([[counts]]), np.array([m]))[0, 0]:
                has[r] = True
        missing[:, m] = ~has
        if has.all() or used == max_attempts:
            has[:], total[:], used = False, 0.0, 0
    return missing


def draw(seed, num_receivers, num_attempts, mean_snr):
    """Numbers, SNRs and a loss that depends on SNR and attempt."""
    rng = np.random.default_rng(seed)
    u = rng.random((num_receivers, num_attempts))
    snr = mean_snr * rng.exponential(size=u.shape)
    level = rng.uniform(0.2, 2.0, num_attempts)
    return u, snr, lambda at_snr, attempt: np.exp(-at_snr / level[attempt])


CASES = {
    "seed": st.integers(0, 10_000),
    "num_receivers": st.integers(1, 4),
    "num_attempts": st.integers(0, 60),
    "mean_snr": st.sampled_from([0.0, 0.1, 1.0, 3.0, 20.0]),
    "max_attempts": st.integers(1, 6),
    "combining": st.booleans(),
}


@given(**CASES)
def test_against_a_loop(seed, num_receivers, num_attempts, mean_snr, max_attempts, combining):
    u, snr, loss = draw(seed, num_receivers, num_attempts, mean_snr)
    got = judge(u, snr, loss, max_attempts, combining=combining)
    expected = by_loop(u, snr, loss, max_attempts, combining)
    np.testing.assert_array_equal(got.missing, expected)
    np.testing.assert_array_equal(got.lost, expected.any(axis=0))


@given(**CASES, share=st.floats(0.0, 1.0))
def test_judged_again_from_the_packet_under_way(
    seed, num_receivers, num_attempts, mean_snr, max_attempts, combining, share
):
    """A judgement in two, the second from the open packet on with other SNRs after the cut."""
    u, snr, loss = draw(seed, num_receivers, num_attempts, mean_snr)
    cut = int(share * num_attempts)
    changed = snr.copy()
    changed[:, cut:] *= 0.5
    whole = judge(u, changed, loss, max_attempts, combining=combining)
    before = judge(u, snr, loss, max_attempts, combining=combining).missing[:, :cut]
    ends = packet_ends(before.any(axis=0), max_attempts)
    first = int(ends[-1]) + 1 if len(ends) else 0
    after = judge(
        u[:, first:],
        changed[:, first:],
        lambda at_snr, attempt: loss(at_snr, attempt + first),
        max_attempts,
        combining=combining,
    )
    np.testing.assert_array_equal(
        np.concatenate([before[:, :first], after.missing], axis=1), whole.missing
    )


@given(seed=CASES["seed"], num_receivers=CASES["num_receivers"], combining=st.booleans())
def test_with_snr_that_is_held(seed, num_receivers, combining):
    """One attempt a packet: what is held counts with combining; who has the packet ignores it."""
    u, snr, loss = draw(seed, num_receivers, 30, 1.0)
    held = np.random.default_rng(seed + 1).exponential(size=u.shape)
    held[held > 2.0] = np.inf
    got = judge(u, snr, loss, 1, combining=combining, held_snr=held)
    total = snr + np.where(np.isinf(held), 0.0, held) if combining else snr
    expected = (u < loss(total, np.arange(30))) & ~np.isinf(held)
    np.testing.assert_array_equal(got.missing, expected)


def test_snr_is_held_of_one_attempt_only():
    u, snr, loss = draw(1, 2, 10, 1.0)
    with pytest.raises(ValueError, match="expected max_attempts = 1 with held_snr, got 3"):
        judge(u, snr, loss, 3, held_snr=snr)


def test_plain_unicast_asks_for_each_loss_once():
    u, snr, loss = draw(1, 1, 1000, 0.5)
    asked = []

    def counted(at_snr, attempt):
        asked.append(at_snr.size)
        return loss(at_snr, attempt)

    judge(u, snr, counted, 8)
    assert asked == [1000]


def test_two_receivers_by_hand():
    # Receiver 0 loses attempts 0 and 3, receiver 1 attempts 1, 2 and 3; two attempts a packet.
    u = np.array([[0.1, 0.9, 0.9, 0.1, 0.9], [0.9, 0.1, 0.1, 0.1, 0.9]])
    judged = judge(u, np.ones(u.shape), lambda snr, _: np.full(snr.shape, 0.5), 2)
    expected = [[1, 0, 0, 0, 0], [0, 0, 1, 1, 0]]  # packets 0-1, 2-3 (lost at receiver 1), 4
    np.testing.assert_array_equal(judged.missing, np.array(expected, dtype=bool))
    np.testing.assert_array_equal(packet_ends(judged.lost, 2), [1, 3, 4])
