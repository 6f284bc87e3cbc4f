"""Cumulative service: S(t), the bits that a link has served by t, and its inverse.

    S(t) = integral of R dt, R constant between channel samples and share changes

So S is piecewise linear, and the attempt whose bits bring the sum to b ends when S reaches b.
Every packet time of a transfer is a value of the inverse of one such function.

Where the rate falls to zero, rounding must not decide whether an attempt that ends on the very
change still ends or waits for the rate to come back. So b counts as reached in a piece if it is
reached within `tolerance_s` of the piece's end at the piece's rate. `mark_bits` holds that
watermark, and `reach_s` and `reached_bits` are each other's inverse with respect to it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.radio.sampling import tolerance_s, tolerances_s

Floats = NDArray[np.float64]


@dataclass(slots=True)  # not frozen: it is made for every look, and that would double its cost
class Service:
    """S(t) over n pieces of constant rate.

    Attributes:
        time_s: ends of the pieces, ascending, [n + 1].
        bits: S at those times, [n + 1].
        rate_bps: rate in each piece, [n].
        mark_bits: what counts as reached by the end of each piece, ascending, [n].
        carry_bits: what counts as reached before the first piece.
    """

    time_s: Floats
    bits: Floats
    rate_bps: Floats
    mark_bits: Floats
    carry_bits: float

    @staticmethod
    def of(
        time_s: Floats, rate_bps: Floats, start_bits: float = 0.0, carry_bits: float = -np.inf
    ) -> "Service":
        """Integrate the rate.

        Args:
            time_s: ends of the pieces, [n + 1], n >= 1.
            rate_bps: rates, at least 0, [n].
            start_bits: S at the first time.
            carry_bits: what counts as reached before.
        """
        bits = np.empty(len(time_s))
        bits[0] = start_bits
        ends_s, served = time_s[1:], bits[1:]
        (rate_bps * (ends_s - time_s[:-1])).cumsum(out=served)
        served += start_bits
        mark = served + rate_bps * tolerances_s(ends_s)
        mark[0] = max(mark.item(0), carry_bits)
        np.maximum.accumulate(mark, out=mark)
        return Service(time_s, bits, rate_bps, mark, carry_bits)

    @staticmethod
    def join(parts: Sequence["Service"]) -> "Service":
        """Return parts that follow each other as one."""
        if len(parts) == 1:
            return parts[0]
        return Service(
            np.concatenate([part.time_s[:-1] for part in parts] + [parts[-1].time_s[-1:]]),
            np.concatenate([part.bits[:-1] for part in parts] + [parts[-1].bits[-1:]]),
            np.concatenate([part.rate_bps for part in parts]),
            np.concatenate([part.mark_bits for part in parts]),
            parts[0].carry_bits,
        )

    @property
    def start_s(self) -> float:
        """Time of the first piece's start."""
        return self.time_s.item(0)

    @property
    def end_s(self) -> float:
        """Time of the last piece's end."""
        return self.time_s.item(-1)

    @property
    def end_bits(self) -> float:
        """S at the end."""
        return self.bits.item(-1)

    @property
    def end_mark_bits(self) -> float:
        """What counts as reached by the end: the `carry_bits` of the service that follows."""
        return self.mark_bits.item(-1)

    def reach_s(self, bits: ArrayLike) -> Floats:
        """Return the earliest times at which S reaches `bits`, shape of `bits`; inf if later."""
        target = np.asarray(bits, float)
        index = np.searchsorted(self.mark_bits, target)
        within = np.minimum(index, len(self.mark_bits) - 1)
        rate = np.asarray(self.rate_bps[within])
        missing = np.where(target <= self.carry_bits, 0.0, target - self.bits[within])
        lasts = np.divide(
            missing, rate, out=np.zeros_like(missing), where=(missing > 0) & (rate > 0)
        )
        return np.asarray(
            np.where(index < len(self.mark_bits), self.time_s[within] + lasts, np.inf)
        )

    def end_of(self, bits: float) -> float:
        """Return `reach_s` of one number, without the cost of arrays."""
        index = int(self.mark_bits.searchsorted(bits))
        if index == len(self.mark_bits):
            return math.inf
        start_s, rate = self.time_s.item(index), self.rate_bps.item(index)
        missing = bits - self.bits.item(index)
        return start_s + missing / rate if missing > 0.0 and bits > self.carry_bits else start_s

    def reached_bits(self, t_s: ArrayLike) -> Floats:
        """Return the largest b that counts as reached by `t_s`, shape of `t_s`."""
        t = np.minimum(np.asarray(t_s, float), self.end_s + tolerance_s(self.end_s))
        last = len(self.rate_bps) - 1
        index = np.clip(np.searchsorted(self.time_s, t, side="right") - 1, 0, last)
        exact = self.bits[index] + self.rate_bps[index] * (t - self.time_s[index])
        before = np.where(index > 0, self.mark_bits[index - 1], self.carry_bits)
        return np.asarray(np.maximum(exact, np.where(t < self.time_s[0], -np.inf, before)))

    def until(self, t_s: float) -> "Service":
        """Return the part before `t_s`, all of it if that is later than the end.

        A part before the first time is empty of service: one piece of no length.
        """
        if t_s >= self.time_s.item(-1):
            return self
        t = max(t_s, self.time_s.item(0))
        num = max(int(self.time_s.searchsorted(t)), 1)
        last_rate = self.rate_bps.item(num - 1)
        last_bits = self.bits.item(num - 1) + last_rate * (t - self.time_s.item(num - 1))
        time, bits = self.time_s[: num + 1].copy(), self.bits[: num + 1].copy()
        time[num], bits[num] = t, last_bits
        mark = self.mark_bits[:num].copy()
        before = mark.item(num - 2) if num > 1 else self.carry_bits
        mark[num - 1] = max(before, last_bits + last_rate * tolerance_s(t))
        return Service(time, bits, self.rate_bps[:num], mark, self.carry_bits)
