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
from cosim.radio.sampling import tolerance_s, tolerances_s
from cosim.radio.service import Service
from cosim.sim.engines.base import Flow, Medium

Floats = NDArray[np.float64]


class Losses(ABC):
    """The attempts of one flow.

    Attributes:
        attempts: as far as they are judged.
        expected_bits: bits on the air of the whole flow, exactly or as expected.
    """

    attempts: Attempts
    expected_bits: float

    @abstractmethod
    def look(self, ahead: Service, snr: Floats) -> None:
        """Judge the attempts that begin in `ahead`, at its SNR in each piece, [n]."""

    @abstractmethod
    def settle(self, done: Service, now_s: float) -> None:
        """Hold on to attempts that began before this instant, in `done` or earlier."""


def losses(flow: Flow, medium: Medium) -> Losses:
    """Return the losses of a flow by its error model."""
    return LossesAhead(flow, medium) if medium.error.depends_on_snr else _known(flow, medium)


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

    def look(self, ahead: Service, snr: Floats) -> None:
        """Nothing is left to judge."""

    def settle(self, done: Service, now_s: float) -> None:
        """Nothing can change."""


def _known(flow: Flow, medium: Medium) -> KnownLosses:
    """Draw all attempts of a flow whose loss probability does not depend on the SNR."""
    packets, nothing = flow.packets, np.zeros(1)
    sizes = [(packets.num_full, packets.full_bits)]
    if packets.num_full < packets.num:
        sizes.append((1, packets.last_bits))
    stages: list[NDArray[np.bool_]] = []
    begun = 0
    for num, bits in sizes:
        stage = _stage(flow, begun, num, float(medium.loss(nothing, bits)[0]))
        stages.append(stage)
        begun += len(stage)
    lost = np.concatenate(stages) if len(stages) > 1 else stages[0]
    num_full = len(stages[0])
    return KnownLosses(Attempts(packets, flow.max_attempts, lost, num_full, complete=True))


def _stage(flow: Flow, begun: int, num: int, loss: float) -> NDArray[np.bool_]:
    """Return whether each attempt of the next `num` packets, all of one size, is lost."""
    if loss <= 0.0:
        return np.zeros(num, dtype=np.bool_)
    guess = _guess(num, loss, flow.max_attempts)
    while True:
        lost = flow.uniforms.first(begun + guess)[begun:] < loss
        total = attempts_of(lost, num, flow.max_attempts)
        if total is not None:
            return lost[:total]
        guess = min(2 * guess, num * flow.max_attempts)


class LossesAhead(Losses):
    """Attempts judged by the SNR at their start, as far as the channel is looked ahead at."""

    def __init__(self, flow: Flow, medium: Medium) -> None:
        self._flow = flow
        self._medium = medium
        self._begun = 0  # attempts that no change of conditions can touch any more
        self._judged(np.empty(0, dtype=np.bool_))
        self.expected_bits = flow.packets.total_bits

    def settle(self, done: Service, now_s: float) -> None:
        """See `Losses.settle`."""
        begun_s = now_s - tolerance_s(now_s)  # attempts that begin later see what comes next
        if begun_s >= done.start_s:
            self._begun = self.attempts.num_begun(float(done.reached_bits(begun_s)))
        self._judged(self.attempts.lost[: self._begun])

    def look(self, ahead: Service, snr: Floats) -> None:
        """See `Losses.look`."""
        # What is served when each piece begins, less the tolerance: an attempt that begins
        # later sees the piece's SNR. Attempts from the last such mark on are for the next look.
        marks = ahead.reached_bits(ahead.time_s[1:] - tolerances_s(ahead.time_s[1:]))
        packets = self._flow.packets
        loss = self._medium.loss(snr, packets.full_bits)
        if self.attempts.num_full is None:
            self._stage(marks, loss, 0, packets.full_bits)
        num_full = self.attempts.num_full
        if num_full is not None and not self.attempts.complete:
            self._stage(
                marks, self._medium.loss(snr, packets.last_bits), num_full, packets.last_bits
            )
        open_packets = 0 if self.attempts.complete else packets.num - len(self.attempts.ends)
        typical = mean_attempts(float(np.mean(loss)), self._flow.max_attempts)
        self.expected_bits = self.attempts.total_bits + open_packets * packets.full_bits * typical

    def _stage(self, marks: Floats, loss: Floats, first: int, bits: float) -> None:
        """Judge attempts of one size until there are no more of them, or of the look.

        Args:
            marks: bits served by the start of pieces 1, ..., n, [n].
            loss: loss probability of an attempt that begins in pieces 0, ..., n - 1, [n].
            first: number of the first attempt of this size.
            bits: on the air of an attempt.
        """
        flow = self._flow
        origin = self.attempts.bits_of(first)
        begun = first + np.maximum(np.floor((marks - origin) / bits), -1.0).astype(np.int64) + 1
        np.maximum.accumulate(begun, out=begun)
        is_full = first == 0 and flow.packets.num_full > 0
        until = flow.packets.num_full if is_full else flow.packets.num
        typical = float(np.mean(loss))
        while len(self.attempts.lost) < begun[-1]:
            judged = len(self.attempts.lost)
            guess = _guess(until - len(self.attempts.ends), typical, flow.max_attempts)
            upto = min(judged + guess, int(begun[-1]))
            edges = np.clip(begun, judged, upto)
            each = np.repeat(loss, np.diff(edges, prepend=judged))
            lost = flow.uniforms.first(upto)[judged:] < each
            self._judged(np.concatenate([self.attempts.lost, lost]), is_full)
            if self.attempts.complete or (is_full and self.attempts.num_full is not None):
                return

    def _judged(self, lost: NDArray[np.bool_], only_full: bool = False) -> None:
        """Take these as the attempts; of those of full size only as many as there are."""
        flow = self._flow
        self.attempts = Attempts.judged(flow.packets, flow.max_attempts, lost)
        num_full = self.attempts.num_full
        if only_full and num_full is not None and num_full < len(self.attempts.lost):
            self.attempts = Attempts.judged(flow.packets, flow.max_attempts, lost[:num_full])
