"""Which attempts of a train are lost: known ahead, or only as far as the channel is.

Where the loss probability does not depend on the SNR, the whole sequence of attempts, and with it
the bits that the flow takes, is known before its first bit is sent: time plays no part. Otherwise
attempts are judged over the part of the channel that is looked ahead at, and again, from those
that have not begun, when a share changes.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from cosim.radio.arq import Attempts, attempts_of, mean_attempts
from cosim.radio.judgement import judge
from cosim.radio.sampling import tolerance_s, tolerances_s
from cosim.radio.service import Service
from cosim.sim.engines.air import Air, Conditions
from cosim.sim.engines.flow import Flow, Uniforms

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Losses(ABC):
    """The attempts of one flow.

    Attributes:
        attempts: as far as they are judged.
        expected_bits: bits on the air of the whole flow, exactly or as expected.
    """

    attempts: Attempts
    expected_bits: float

    @abstractmethod
    def look(self, ahead: Service, now: Conditions) -> None:
        """Judge the attempts that begin in `ahead`, at the conditions in each piece, [n]."""

    @abstractmethod
    def settle(self, done: Service, now_s: float) -> None:
        """Hold on to attempts that began before this instant, in `done` or earlier."""

    @abstractmethod
    def received(self, num_attempts: int) -> Bools:
        """Return which packets each receiver has after so many attempts, [R, num_packets]."""

    @abstractmethod
    def collected_snr(self, num_attempts: int) -> Floats:
        """Return what each receiver has collected of each packet by then, [R, num_packets]."""


def losses(flow: Flow, air: Air) -> Losses:
    """Return the losses of a flow by its error model."""
    ahead = air.error.depends_on_snr or len(flow.receivers) > 1 or flow.held_snr is not None
    return LossesAhead(flow, air) if ahead else _known(flow, air)


def _guess(packets: int, loss: float, max_attempts: int) -> int:
    """Return how many attempts this many packets are unlikely to exceed: mean and 4 deviations."""
    extra = packets * (mean_attempts(loss, max_attempts) - 1.0)
    spread = 4.0 * (extra * (1.0 + extra / max(packets, 1))) ** 0.5
    return min(packets + int(extra + spread) + 4, packets * max_attempts)


class KnownLosses(Losses):
    """A sequence of attempts that is known whole."""

    def __init__(self, attempts: Attempts) -> None:
        self.attempts = attempts
        self.expected_bits = attempts.total_bits

    def look(self, ahead: Service, now: Conditions) -> None:
        """Nothing is left to judge."""

    def settle(self, done: Service, now_s: float) -> None:
        """Nothing can change."""

    def received(self, num_attempts: int) -> Bools:
        """See `Losses.received`."""
        return self.attempts.delivered(num_attempts)[np.newaxis]

    def collected_snr(self, num_attempts: int) -> Floats:
        """Zeros: SNR plays no part."""
        return np.zeros((1, self.attempts.packets.num))


def _known(flow: Flow, air: Air) -> KnownLosses:
    """Draw all attempts of a flow whose loss probability does not depend on the SNR."""
    packets, uniforms, nothing = flow.packets, flow.receivers[0].uniforms, np.zeros(2)
    bits = np.array((packets.full_bits, packets.last_bits))
    of_full, of_last = air.loss(nothing, bits, nothing).tolist()
    if of_full == of_last or packets.num_full == packets.num:
        lost = _stage(uniforms, 0, packets.num, flow.max_attempts, of_full)
    else:
        full = _stage(uniforms, 0, packets.num_full, flow.max_attempts, of_full)
        last = _stage(uniforms, len(full), 1, flow.max_attempts, of_last)
        lost = np.concatenate([full, last])
    return KnownLosses(Attempts.whole(packets, flow.max_attempts, lost))


def _stage(
    uniforms: Uniforms, begun: int, num: int, max_attempts: int, loss: float
) -> NDArray[np.bool_]:
    """Return whether each attempt of the next `num` packets, all of one size, is lost."""
    if loss <= 0.0 or num == 0:
        return np.zeros(num, dtype=np.bool_)
    guess = _guess(num, loss, max_attempts)
    while True:
        lost = uniforms.read(begun, guess) < loss
        total = attempts_of(lost, num, max_attempts)
        if total is not None:
            return lost[:total]
        guess = min(2 * guess, num * max_attempts)


class LossesAhead(Losses):
    """Attempts judged by the SNR at their start, as far as the channel is looked ahead at."""

    def __init__(self, flow: Flow, air: Air) -> None:
        self._flow = flow
        self._air = air
        self._begun = 0  # attempts that no change of conditions can touch any more
        num = len(flow.receivers)
        self._snr = np.empty((num, 0))  # of each judged attempt at each receiver
        self._efficiency = np.empty(0)
        self._missing = np.empty((num, 0), dtype=np.bool_)  # who lacks the packet after it
        self.attempts = Attempts.judged(flow.packets, flow.max_attempts, np.empty(0, np.bool_))
        self.expected_bits = flow.packets.total_bits

    def settle(self, done: Service, now_s: float) -> None:
        """See `Losses.settle`."""
        begun_s = now_s - tolerance_s(now_s)  # attempts that begin later see what comes next
        if begun_s >= done.start_s:
            due = self.attempts.num_begun(float(done.reached_bits(begun_s)))
            waits = due > self._begun and self._waits(done, due - 1)
            self._begun = due - 1 if waits else due
        self._keep(self._begun)

    def _waits(self, done: Service, attempt: int) -> bool:
        """Return whether the rate has been 0 ever since an attempt's turn came."""
        served = np.flatnonzero(done.rate_bps)
        if not len(served):
            return True
        last_s = float(done.time_s[served[-1] + 1])
        turn_s = float(done.reach_s(self.attempts.bits_of(attempt)))
        return turn_s >= last_s - tolerance_s(last_s)

    def received(self, num_attempts: int) -> Bools:
        """See `Losses.received`."""
        through = np.zeros((len(self._missing), self._flow.packets.num), dtype=np.bool_)
        last = self._last_attempts(num_attempts)
        through[:, : len(last)] = ~self._missing[:, last]
        return through

    def collected_snr(self, num_attempts: int) -> Floats:
        """See `Losses.collected_snr`."""
        shape = (len(self._missing), self._flow.packets.num)
        held = self._flow.held_snr
        collected = np.zeros(shape) if held is None else held.copy()
        first = self._first_attempts(num_attempts)
        if len(first):
            sums = np.add.reduceat(self._snr[:, :num_attempts], first, axis=1)
            collected[:, : len(first)] += sums
        return collected

    def _first_attempts(self, num_attempts: int) -> NDArray[np.int64]:
        """Return the first attempt of each packet that has one among the first `num_attempts`."""
        first = np.concatenate([[0], self.attempts.ends + 1])
        return first[first < num_attempts]

    def _last_attempts(self, num_attempts: int) -> NDArray[np.int64]:
        """Return the last of the first `num_attempts` attempts of each packet that has one."""
        first = self._first_attempts(num_attempts)
        return np.append(first[1:], num_attempts)[: len(first)] - 1

    def look(self, ahead: Service, now: Conditions) -> None:
        """See `Losses.look`."""
        # What is served when each piece begins, less the tolerance: an attempt that begins
        # later sees the piece's SNR. Attempts from the last such mark on are for the next look.
        marks = ahead.reached_bits(ahead.time_s[1:] - tolerances_s(ahead.time_s[1:]))
        packets = self._flow.packets
        typical = 0.0
        if self.attempts.num_full is None:
            typical = self._stage(marks, now, 0, packets.full_bits)
        num_full = self.attempts.num_full
        if num_full is not None and not self.attempts.complete:
            typical = self._stage(marks, now, num_full, packets.last_bits)
        open_packets = 0 if self.attempts.complete else packets.num - len(self.attempts.ends)
        each = packets.full_bits * mean_attempts(typical, self._flow.max_attempts)
        self.expected_bits = self.attempts.total_bits + open_packets * each

    def _stage(self, marks: Floats, now: Conditions, first: int, bits: float) -> float:
        """Judge attempts of one size until there are no more of them, or of the look.

        Args:
            marks: bits served by the start of pieces 1, ..., n, [n].
            now: conditions of an attempt that begins in pieces 0, ..., n - 1.
            first: number of the first attempt of this size.
            bits: on the air of an attempt.

        Returns:
            A loss probability that is typical of the look.
        """
        flow, air = self._flow, self._air
        origin = self.attempts.bits_of(first)
        begun = first + np.maximum(np.floor((marks - origin) / bits), -1.0).astype(np.int64) + 1
        begun[now.rate_bps == 0.0] = 0  # where nothing is sent, no attempt begins
        np.maximum.accumulate(begun, out=begun)
        is_full = first == 0 and flow.packets.num_full > 0
        until = flow.packets.num_full if is_full else flow.packets.num
        loss = air.loss(now.snr, bits, now.efficiency)  # [R, n], of a packet's first attempt
        typical = float(np.mean(loss.max(axis=0)))
        plain = len(flow.receivers) == 1 and not air.combining and flow.held_snr is None
        while len(self.attempts.lost) < begun[-1]:
            judged = len(self.attempts.lost)
            guess = _guess(until - len(self.attempts.ends), typical, flow.max_attempts)
            upto = min(judged + guess, int(begun[-1]))
            edges = np.clip(begun, judged, upto)
            piece = np.repeat(np.arange(len(begun)), np.diff(edges, prepend=judged))
            self._snr = np.concatenate([self._snr, now.snr[:, piece]], axis=1)
            self._efficiency = np.concatenate([self._efficiency, now.efficiency[piece]])
            if plain:
                lost = flow.receivers[0].uniforms.first(upto)[judged:] < loss[0, piece]
                lost, missing = np.concatenate([self.attempts.lost, lost]), lost[np.newaxis]
                self._missing = np.concatenate([self._missing, missing], axis=1)
            else:
                lost = self._judge(upto, bits)
            self.attempts = Attempts.judged(flow.packets, flow.max_attempts, lost)
            num_full = self.attempts.num_full
            if is_full and num_full is not None:
                self._keep(min(num_full, len(lost)))
                return typical
            self._keep(len(self.attempts.lost))
            if self.attempts.complete:
                return typical
        return typical

    def _judge(self, upto: int, bits: float) -> Bools:
        """Judge attempts to `upto`, from the first one of the packet under way on."""
        flow, air = self._flow, self._air
        ends = self.attempts.ends
        first = int(ends[-1]) + 1 if len(ends) else 0
        snr, efficiency = self._snr[:, first:upto], self._efficiency[first:upto]
        held = flow.held_snr
        if held is not None:  # one attempt a packet: attempt and packet have the same number
            held = held[:, first:upto]
        judged = judge(
            np.stack([each.uniforms.first(upto)[first:] for each in flow.receivers]),
            snr,
            lambda total, at: air.loss(total, bits, efficiency[at]),
            flow.max_attempts,
            combining=air.combining,
            held_snr=held,
        )
        self._missing = np.concatenate([self._missing[:, :first], judged.missing], axis=1)
        return np.concatenate([self.attempts.lost[:first], judged.missing.any(axis=0)])

    def _keep(self, num: int) -> None:
        """Forget all but the first `num` attempts."""
        self._snr, self._efficiency = self._snr[:, :num], self._efficiency[:num]
        self._missing = self._missing[:, :num]
        if num < len(self.attempts.lost):
            flow, lost = self._flow, self.attempts.lost[:num]
            self.attempts = Attempts.judged(flow.packets, flow.max_attempts, lost)
