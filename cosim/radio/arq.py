"""ARQ: which attempts end which packets, given which attempts were lost.

A packet is sent again at once until it arrives or its attempts are used up, so the attempts of a
transfer are one sequence, and the k-th is lost or not by the k-th number of one stream. With loss
probability p, attempts per packet are geometric, capped at c, and p^c of the packets stay lost.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cosim.radio.packets import Packets

DEFAULT_MAX_ATTEMPTS = 8
"""Attempts of a packet with reliable transport when the scenario sets none (own choice)."""


def attempts_allowed(reliability: str, max_attempts: int | None) -> int:
    """Return how often a packet may be sent: once with `best_effort`."""
    if reliability == "best_effort":
        return 1
    return DEFAULT_MAX_ATTEMPTS if max_attempts is None else max_attempts


def mean_attempts(loss: float, max_attempts: int) -> float:
    """Return the mean attempts of a packet, (1 - p^c) / (1 - p)."""
    return float(max_attempts) if loss >= 1.0 else (1.0 - loss**max_attempts) / (1.0 - loss)


def has_run(lost: NDArray[np.bool_], length: int) -> bool:
    """Return whether `length` attempts in a row were lost: a packet that stays lost."""
    return b"\x01" * length in lost.tobytes()


def last_begins(lost: NDArray[np.bool_], max_attempts: int) -> int:
    """Return the first attempt of the last packet.

    Args:
        lost: whether each attempt was lost, up to the last packet's last, [K], K >= 1.
        max_attempts: attempts that a packet may use, at least 1.
    """
    begin = lost[:-1].tobytes().rfind(b"\x00") + 1  # after it all were lost, but maybe the last
    # Such a run uses up the attempts of one packet after the other.
    return begin + (len(lost) - 1 - begin) // max_attempts * max_attempts


def packet_ends(lost: NDArray[np.bool_], max_attempts: int) -> NDArray[np.int64]:
    """Return the attempts that are the last of their packet, ascending, [m].

    Args:
        lost: whether each attempt was lost, in order from the first, [K].
        max_attempts: attempts that a packet may use, at least 1.
    """
    if max_attempts == 1:
        return np.arange(len(lost))
    ends = ~lost
    if has_run(lost, max_attempts):
        # A run of losses uses up a packet's attempts: every c-th loss of it ends a packet.
        where = np.flatnonzero(lost)
        begins = np.diff(where, prepend=-2) != 1
        begin = np.maximum.accumulate(np.where(begins, where, 0))
        ends[where[(where - begin + 1) % max_attempts == 0]] = True
    return np.flatnonzero(ends)


def attempts_of(lost: NDArray[np.bool_], num_packets: int, max_attempts: int) -> int | None:
    """Return how many attempts the first `num_packets` packets take; None if more than [K]."""
    if num_packets == 0:
        return 0
    if max_attempts > 1 and not has_run(lost, max_attempts):
        # Without a packet lost for good, they take one attempt each and one for each loss among
        # these: the least fixed point, approached from below.
        num, least = 0, num_packets
        while num < least <= len(lost):
            num, least = least, num_packets + int(np.count_nonzero(lost[:least]))
        return num if num == least else None
    ends = packet_ends(lost, max_attempts)
    return int(ends[num_packets - 1]) + 1 if len(ends) >= num_packets else None


@dataclass(frozen=True)
class Attempts:
    """The attempts of one transfer, as far as they are judged.

    Attributes:
        packets: what is sent.
        max_attempts: attempts that a packet may use.
        lost: whether each attempt was lost, none after the last packet's last, [K].
        num_full: attempts of the packets of full size, None while their number is open.
        complete: whether every packet has had its last attempt.
    """

    packets: Packets
    max_attempts: int
    lost: NDArray[np.bool_]
    num_full: int | None
    complete: bool

    @staticmethod
    def judged(packets: Packets, max_attempts: int, lost: NDArray[np.bool_]) -> "Attempts":
        """Return the attempts of a transfer by the losses of one sequence, which may go on."""
        total = attempts_of(lost, packets.num, max_attempts)
        if total is not None:
            return Attempts.whole(packets, max_attempts, lost[:total])
        num_full = packets.num_full
        full = None if num_full == packets.num else attempts_of(lost, num_full, max_attempts)
        return Attempts(packets, max_attempts, lost, full, complete=False)

    @staticmethod
    def whole(packets: Packets, max_attempts: int, lost: NDArray[np.bool_]) -> "Attempts":
        """Return the attempts of a transfer by its losses, up to its last packet's last."""
        is_even = packets.num_full == packets.num
        num_full = len(lost) if is_even else last_begins(lost, max_attempts)
        return Attempts(packets, max_attempts, lost, num_full, complete=True)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The attempts that were the last of packets 0, 1, ..., [m], m <= packets.num."""
        return packet_ends(self.lost, self.max_attempts)

    @property
    def total_bits(self) -> float:
        """Bits on the air of all judged attempts."""
        return self.bits_of(len(self.lost))

    def bits_of(self, num_attempts: int) -> float:
        """Return the bits on the air of the first `num_attempts` attempts."""
        full = num_attempts if self.num_full is None else min(num_attempts, self.num_full)
        return full * self.packets.full_bits + (num_attempts - full) * self.packets.last_bits

    def cumulative_bits(self, num_attempts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `bits_of` of each number, same shape."""
        full = num_attempts if self.num_full is None else np.minimum(num_attempts, self.num_full)
        short = num_attempts - full
        return np.asarray(full * self.packets.full_bits + short * self.packets.last_bits)

    def lost_bits(self, num_attempts: int) -> float:
        """Return the bits on the air of those of the first `num_attempts` that were lost."""
        full = num_attempts if self.num_full is None else min(num_attempts, self.num_full)
        lost_full = int(np.count_nonzero(self.lost[:full]))
        lost_short = int(np.count_nonzero(self.lost[full:num_attempts]))
        return lost_full * self.packets.full_bits + lost_short * self.packets.last_bits

    def num_within(self, bits: float) -> int:
        """Return how many attempts end by the time that `bits` are served, at most K."""
        if not bits >= 0.0:
            return 0
        full, num_full = self.packets.full_bits, self.num_full
        if num_full is None or bits < num_full * full:
            within = int(bits // full)
        else:
            within = num_full + int((bits - num_full * full) // self.packets.last_bits)
        return min(within, len(self.lost))

    def num_begun(self, bits: float) -> int:
        """Return how many attempts begin by the time that `bits` are served, at most K."""
        return min(self.num_within(bits) + 1, len(self.lost)) if bits >= 0.0 else 0

    def num_packets_begun(self, num_attempts: int) -> int:
        """Return how many packets the first `num_attempts` attempts, at most K, are of."""
        if num_attempts == 0:
            return 0
        return int(np.searchsorted(self.ends, num_attempts - 1)) + 1

    def delivered(self, num_attempts: int) -> NDArray[np.bool_]:
        """Return which packets are through after `num_attempts` attempts, [packets.num]."""
        if self.complete and num_attempts >= len(self.lost) and not self._any_lost_for_good:
            return np.ones(self.packets.num, dtype=np.bool_)
        through = np.zeros(self.packets.num, dtype=np.bool_)
        ended = int(np.searchsorted(self.ends, num_attempts))
        np.logical_not(self.lost[self.ends[:ended]], out=through[:ended])
        return through

    @cached_property
    def _any_lost_for_good(self) -> bool:
        return has_run(self.lost, self.max_attempts)
