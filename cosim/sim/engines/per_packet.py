"""The reference engine: one event per attempt, per channel sample and per share change.

It follows each packet as a textbook would: the bits of the attempt on the air run down at the
present rate; when they are gone the attempt is lost or not, and the next begins. It is slow and
obviously right, and `packet_train` is held equal to it.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.radio.sampling import sample_index, tolerance_s
from cosim.sim.engines.base import Airing, Engine, Flow, Medium, PacketTimes, Timer


class _Sending:
    """Where one flow is: its packet, the attempt on the air, and what happened so far."""

    def __init__(self, flow: Flow, gain: float, now_s: float, timer: Timer) -> None:
        self.flow = flow
        self.timer = timer
        self.packet_bits = flow.packets.bits()
        self.sample = sample_index(now_s, flow.sample_interval_s)
        self.gain = gain
        self.snr = 0.0
        self.rate_bps = 0.0
        self.since_s = now_s  # until when the bits served are booked
        self.packet = 0
        self.num_attempts = 0  # that ended
        self.served_bits = 0.0
        self.lost_bits = 0.0
        # Of each packet begun: start of its first attempt, end of its last, attempts, through.
        self.start_s: list[float] = []
        self.end_s: list[float] = []
        self.attempts: list[int] = []
        self.through: list[bool] = []
        self.remaining_bits = 0.0
        self.attempt_start_s = now_s
        self.attempt_snr = 0.0
        self.begin_packet(now_s)

    @property
    def complete(self) -> bool:
        """Whether every packet had all its attempts."""
        return self.packet == self.flow.packets.num

    @property
    def next_sample_s(self) -> float:
        """When the channel changes."""
        interval_s = self.flow.sample_interval_s
        return (self.sample + 1) * interval_s if math.isfinite(interval_s) else math.inf

    def begin_packet(self, now_s: float) -> None:
        """Begin the next packet, if there is one."""
        if not self.complete:
            self.start_s.append(now_s)
            self.end_s.append(now_s)
            self.attempts.append(0)
            self.through.append(False)
            self.begin_attempt(now_s)

    def begin_attempt(self, now_s: float) -> None:
        """Put the packet on the air, from its first bit.

        What rounding left of the attempt before is served too: bits served are cumulative.
        """
        self.remaining_bits += float(self.packet_bits[self.packet])
        self.attempt_start_s = now_s
        self.attempt_snr = self.snr

    def end_attempt(self, now_s: float, loss: float) -> None:
        """End the attempt on the air, and begin the next."""
        lost = self.flow.uniforms.nth(self.num_attempts) < loss
        self.num_attempts += 1
        self.attempts[-1] += 1
        self.end_s[-1] = now_s
        self.lost_bits += float(self.packet_bits[self.packet]) if lost else 0.0
        if lost and self.attempts[-1] < self.flow.max_attempts:
            self.begin_attempt(now_s)
            return
        self.through[-1] = not lost
        self.packet += 1
        self.begin_packet(now_s)


class PerPacket(Engine):
    """One event per attempt."""

    def __init__(
        self,
        env: simpy.Environment,
        medium: Medium,
        aired: Callable[[Flow, Airing], None],
        record: bool,
    ) -> None:
        super().__init__(env, medium, aired, record)
        self._sendings: dict[Flow, _Sending] = {}

    def begin(self, flow: Flow) -> None:
        """See `Engine.begin`."""
        now_s = self.env.now
        first = sample_index(now_s, flow.sample_interval_s)
        gain = float(self.medium.gains(flow, first, 1)[0])
        timer = Timer(self.env, lambda at_s: self._wake(sending, at_s))
        sending = _Sending(flow, gain, now_s, timer)
        self._sendings[flow] = sending

    def refresh(self, domain: int, flows: Sequence[Flow]) -> None:
        """See `Engine.refresh`."""
        for flow in flows:
            sending = self._sendings[flow]
            self._serve(sending)
            self._go_on(sending)

    def cut(self, flow: Flow) -> Airing:
        """See `Engine.cut`."""
        sending = self._sendings[flow]
        self._serve(sending)
        return self._end(sending)

    def gain(self, flow: Flow) -> float:
        """See `Engine.gain`."""
        return self._sendings[flow].gain

    def remaining_bits(self, flow: Flow) -> float:
        """See `Engine.remaining_bits`."""
        sending = self._sendings[flow]
        self._serve(sending)
        later = float(sending.packet_bits[sending.packet + 1 :].sum())
        return sending.remaining_bits + later if not sending.complete else 0.0

    def _wake(self, sending: _Sending, at_s: float) -> None:
        """An attempt ends or the channel changes."""
        self._serve(sending)
        if at_s == sending.next_sample_s:
            sending.sample += 1
            sending.gain = float(self.medium.gains(sending.flow, sending.sample, 1)[0])
        self._go_on(sending)

    def _serve(self, sending: _Sending) -> None:
        """Book the bits served until now; if they were the attempt's last, it ends."""
        now_s = self.env.now
        bits = sending.rate_bps * (now_s - sending.since_s)
        sending.served_bits += bits
        sending.since_s = now_s
        sending.remaining_bits -= bits
        if sending.complete or sending.remaining_bits > sending.rate_bps * tolerance_s(now_s):
            return
        packet_bits = float(sending.packet_bits[sending.packet])
        loss = self.medium.loss(np.array([sending.attempt_snr]), packet_bits)
        sending.end_attempt(now_s, float(loss[0]))

    def _go_on(self, sending: _Sending) -> None:
        """Go on at the present gain and share, or end."""
        if sending.complete:
            self.aired(sending.flow, self._end(sending))
            return
        now_s = self.env.now
        snr, rate_bps = self.medium.conditions(sending.flow, np.array([sending.gain]))
        sending.snr, sending.rate_bps = float(snr[0]), float(rate_bps[0])
        if now_s - sending.attempt_start_s <= tolerance_s(now_s):
            sending.attempt_snr = sending.snr
        end_s = math.inf
        if sending.rate_bps > 0.0:
            end_s = now_s + sending.remaining_bits / sending.rate_bps
        sending.timer.set(min(end_s, sending.next_sample_s))

    def _end(self, sending: _Sending) -> Airing:
        sending.timer.cancel()
        del self._sendings[sending.flow]
        now_s = self.env.now
        num_attempts, in_flight_bits = sending.num_attempts, 0.0
        if not sending.complete:
            in_flight_bits = float(sending.packet_bits[sending.packet]) - sending.remaining_bits
            if sending.attempt_start_s < now_s - tolerance_s(
                now_s
            ):  # the attempt on the air is cut
                num_attempts += 1
                sending.attempts[-1] += 1
                sending.end_s[-1] = now_s

        def delivered_by(t_s: float) -> NDArray[np.bool_]:
            through = np.zeros(sending.flow.packets.num, dtype=np.bool_)
            ended = np.array(sending.end_s) <= t_s + tolerance_s(t_s)
            through[: len(ended)] = ended & np.array(sending.through, dtype=np.bool_)
            return through

        def times() -> PacketTimes:
            attempts = np.array(sending.attempts, dtype=np.int64)
            begun = attempts > 0
            return PacketTimes(
                np.array(sending.start_s)[begun], np.array(sending.end_s)[begun], attempts[begun]
            )

        return Airing(
            end_s=now_s,
            complete=sending.complete,
            num_attempts=num_attempts,
            served_bits=sending.served_bits,
            lost_bits=sending.lost_bits,
            in_flight_bits=in_flight_bits,
            delivered_by=delivered_by,
            times=times,
        )
