"""Judgement: after which attempts does a receiver still lack the packet that is being sent.

The attempts of a transfer go out back to back. A packet is sent again until all of its receivers
have it or its attempts are used up; a receiver that has it ignores what follows. Receiver r fails
to decode attempt m if

    u[r, m] < P(SNR)    SNR of the attempt, or, with chase combining, summed over the attempts of
                        this packet so far

Chase combining: every attempt is the same codeword, so that the receiver adds their energy (Chase,
IEEE Trans. Commun. 33(5), 1985). It listens to attempts that it failed to decode, never to those
of another packet.

Where the attempts of a packet begin depends on how all packets before it fared. So the length of
a packet is found for each attempt as if a packet began there, all attempts at once; then packets
are followed from the first. Only those of more than one attempt are visited.

A judgement begins with a packet's first attempt and has no state: attempts that are judged again
with the same numbers fare the same. To judge again from attempt b on, because the channel turned
out otherwise, judge from the first attempt of the packet that is under way then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Loss = Callable[[Floats, Ints], Floats]
"""Probabilities of loss [R, n] by SNR [R, n] and number of the attempt in this judgement [n]."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How attempts fared.

    Attributes:
        missing: whether receiver r lacks the packet that is being sent, after attempt m, [R, K].
            At a packet's last attempt it says which receivers never got it.
    """

    missing: Bools

    @property
    def lost(self) -> Bools:
        """Whether some receiver lacks it after each attempt, [K]; see `arq.packet_ends`."""
        return np.asarray(self.missing.any(axis=0))


def judge(
    u: Floats,
    snr: Floats,
    loss: Loss,
    max_attempts: int,
    *,
    combining: bool = False,
    held_snr: Floats | None = None,
) -> Judged:
    """Return which receivers lack the packet that is being sent, after each attempt.

    Args:
        u: decides over each attempt at each receiver, uniform in [0, 1), [R, K]. Attempt 0 is
            the first of its packet.
        snr: linear SNR at the start of each attempt, [R, K].
        loss: the loss probability of attempts at SNRs; at sums of SNRs with combining.
        max_attempts: attempts that a packet may use, at least 1.
        combining: whether receivers combine the attempts of a packet (chase).
        held_snr: the SNR that each receiver has collected before of the packet of each attempt,
            infinite where it has that packet, [R, K]. Only with one attempt a packet.

    Raises:
        ValueError: `held_snr` is given and a packet may use several attempts, so that which
            packet an attempt belongs to is not known.
    """
    every = np.arange(u.shape[1])
    if held_snr is not None:
        if max_attempts != 1:
            raise ValueError(f"expected max_attempts = 1 with held_snr, got {max_attempts}")
        has = np.isinf(held_snr)
        total = np.where(has, 0.0, held_snr) + snr if combining else snr
        return Judged((u < loss(total, every)) & ~has)
    failed = u < loss(snr, every)
    if max_attempts == 1 or (len(u) == 1 and not combining):
        return Judged(failed)  # each attempt stands for itself
    first = np.flatnonzero(failed.any(axis=0))  # a packet that begins here takes more attempts
    length = np.full(len(first), max_attempts)
    number, start, lacking = np.arange(len(first)), first, failed.take(first, axis=1)
    total = snr.take(first, axis=1) if combining else snr
    rounds = [(start, lacking)]
    for k in range(1, max_attempts):
        begun = int(np.searchsorted(start, u.shape[1] - k))  # of the others the end is not here
        if begun == 0:
            break
        number, start, lacking = number[:begun], start[:begun], lacking[:, :begun]
        attempt = start + k
        if combining:
            total = total[:, :begun] + snr.take(attempt, axis=1)
            lacking = lacking & (u.take(attempt, axis=1) < loss(total, attempt))
        else:
            lacking = lacking & failed.take(attempt, axis=1)
        rounds.append((start, lacking))
        still = lacking.any(axis=0)
        length[number[~still]] = k + 1
        going = np.flatnonzero(still)
        number, start, lacking = number[going], start[going], lacking.take(going, axis=1)
        total = total.take(going, axis=1) if combining else snr
    sent = np.zeros(u.shape[1], dtype=np.bool_)  # where packets of several attempts do begin
    sent[first[_follow(first, length)]] = True
    missing = np.zeros(u.shape, dtype=np.bool_)
    for k, (start, lacking) in enumerate(rounds):
        chosen = np.flatnonzero(sent[start])
        missing[:, start[chosen] + k] = lacking.take(chosen, axis=1)
    return Judged(missing)


def _follow(first: Ints, length: Ints) -> list[int]:
    """Return which of the packets that could begin at `first` do begin, ascending.

    All other packets take one attempt, so that one leads to the next of `first` by itself.
    """
    following = np.searchsorted(first, first + length).tolist()
    found, at, end = [], 0, len(following)
    while at < end:
        found.append(at)
        at = following[at]
    return found
