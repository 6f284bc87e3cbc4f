"""The reference engine: one event per attempt, per channel sample and per share change.

It follows each packet as a textbook would: the bits of the attempt on the air run down at the
present rate; when they are gone each receiver has the packet or not, and the next attempt begins.
It is slow and obviously right, and `packet_train` is held equal to it.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.radio.sampling import sample_index, tolerance_s
from cosim.sim.engines.air import Air, Signals
from cosim.sim.engines.base import Engine, Timer
from cosim.sim.engines.feedback import Feedback
from cosim.sim.engines.flow import Airing, Flow, PacketTimes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class _Sending:
    """Where one flow is: its packet, the attempt on the air, and what happened so far."""

    def __init__(self, flow: Flow, air: Air, now_s: float, timer: Timer) -> None:
        self.flow = flow
        self.air = air
        self.timer = timer
        self.packet_bits = flow.packets.bits()
        self.sample = sample_index(now_s, flow.sample_interval_s)
        self.signals = Signals(air, flow)
        self.feedback = Feedback(air.rate, flow.sample_interval_s, self.sample)
        self.known: Floats | None = None  # what was reported, [R, 1, C]
        self.share: float | Floats = 0.0
        self.snr = np.zeros(len(flow.receivers))
        self.rate_bps = 0.0
        self.efficiency = 0.0
        self.since_s = now_s  # until when the bits served are booked
        self.packet = 0
        self.num_attempts = 0  # that ended
        self.num_lost = 0  # of them
        self.served_bits = 0.0
        self.lost_bits = 0.0
        # Of each packet begun: start of its first attempt, end of its last, attempts; and when
        # each receiver had it, infinity if not.
        self.start_s: list[float] = []
        self.end_s: list[float] = []
        self.attempts: list[int] = []
        self.had_s: list[Floats] = []
        self.collected: list[Floats] = []
        self.remaining_bits = 0.0  # of the attempt on the air
        self.remaining_at_change = 0.0  # of all, when flows of the domain last started or ended
        self.attempt_start_s = now_s
        self.attempt_waits = True  # for its first bit
        self.attempt_snr = self.snr
        self.attempt_efficiency = 0.0
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

    @property
    def remaining_bits_of_all(self) -> float:
        """The bits still to be served if no attempt is lost from now on."""
        later = float(self.packet_bits[self.packet + 1 :].sum())
        return self.remaining_bits + later if not self.complete else 0.0

    def sinr(self) -> Floats:
        """Return the SINR with all of the band now, [R, 1, C]."""
        return self.signals.sinr(self.sample, 1)

    def known_now(self, now_s: float) -> Floats:
        """Return what the transmitter knows of it now, [R, 1, C]."""
        feedback, sinr = self.feedback, self.sinr()
        if not feedback.has_reports or self.known is None:
            return sinr
        begins_s = self.sample * self.flow.sample_interval_s
        reported = feedback.report(self.sample) == self.sample
        fresh = reported and now_s - begins_s <= tolerance_s(now_s)
        started = now_s - self.flow.start_s <= tolerance_s(now_s)
        return sinr if fresh or started else self.known

    def begin_packet(self, now_s: float) -> None:
        """Begin the next packet, if there is one."""
        if not self.complete:
            self.start_s.append(now_s)
            self.end_s.append(now_s)
            self.attempts.append(0)
            none, held = np.zeros(len(self.flow.receivers)), self.flow.held_snr
            collected = none if held is None else held[:, self.packet].copy()
            self.collected.append(collected)
            self.had_s.append(np.where(np.isinf(collected), -math.inf, math.inf))
            self.begin_attempt(now_s)

    def begin_attempt(self, now_s: float) -> None:
        """Put the packet on the air, from its first bit.

        What rounding left of the attempt before is served too: bits served are cumulative.
        """
        self.remaining_bits += float(self.packet_bits[self.packet])
        self.attempt_start_s = now_s
        self.attempt_waits = True
        self.attempt_snr, self.attempt_efficiency = self.snr, self.efficiency

    def end_attempt(self, now_s: float) -> None:
        """End the attempt on the air, and begin the next."""
        bits = float(self.packet_bits[self.packet])
        had_s, collected = self.had_s[-1], self.collected[-1]
        collected += self.attempt_snr
        for number, receiver in enumerate(self.flow.receivers):
            if had_s[number] <= now_s:
                continue
            snr = collected if self.air.combining else self.attempt_snr
            loss = self.air.loss(
                snr[number : number + 1], bits, np.array([self.attempt_efficiency])
            )
            if receiver.uniforms.nth(self.num_attempts) >= loss[0]:
                had_s[number] = now_s
        lost = bool((had_s > now_s).any())
        self.num_attempts += 1
        self.num_lost += lost
        self.attempts[-1] += 1
        self.end_s[-1] = now_s
        self.lost_bits += bits if lost else 0.0
        if lost and self.attempts[-1] < self.flow.max_attempts:
            self.begin_attempt(now_s)
            return
        self.packet += 1
        self.begin_packet(now_s)


class _Domain:
    """A domain whose rule divides its band slot by slot."""

    def __init__(self, timer: Timer) -> None:
        self.timer = timer
        self.slot = -1  # that was divided last
        self.before: dict[Flow, float] = {}  # the rule's memory before this slot
        self.after: dict[Flow, float] = {}


class PerPacket(Engine):
    """One event per attempt."""

    def __init__(
        self,
        env: simpy.Environment,
        air: Air,
        aired: Callable[[Flow, Airing], None],
        record: bool,
    ) -> None:
        super().__init__(env, air, aired, record)
        self._sendings: dict[Flow, _Sending] = {}
        self._domains: dict[int, _Domain] = {}
        self._flows: dict[int, Sequence[Flow]] = {}

    def begin(self, flow: Flow) -> None:
        """See `Engine.begin`."""
        timer = Timer(self.env, lambda at_s: self._wake(sending, at_s))
        sending = _Sending(flow, self.air, self.env.now, timer)
        self._sendings[flow] = sending

    def refresh(self, domain: int, flows: Sequence[Flow], divide: bool) -> None:
        """See `Engine.refresh`."""
        sendings = [self._sendings[flow] for flow in flows]
        now_s = self.env.now
        for sending in sendings:
            self._serve(sending)
            if sending.next_sample_s <= now_s + tolerance_s(now_s):  # its event may come after this
                self._next_sample(sending)
        if divide:
            for sending in sendings:
                sending.remaining_at_change = sending.remaining_bits_of_all
        if divide or self.air.rule.slot_s is not None:
            self._divide(domain, sendings)
        for sending in sendings:
            self._go_on(sending)

    def progress(self, flow: Flow) -> Airing:
        """See `Engine.progress`."""
        sending = self._sendings[flow]
        self._serve(sending)
        return self._airing(sending)

    def cut(self, flow: Flow) -> Airing:
        """See `Engine.cut`."""
        sending = self._sendings[flow]
        self._serve(sending)
        self._remove(sending)
        return self._airing(sending)

    def _divide(self, domain: int, sendings: Sequence[_Sending]) -> None:
        """Divide the band for now, or for the rest of the present slot."""
        now_s = self.env.now
        slot_s = self.air.rule.slot_s
        known = [sending.known_now(now_s) for sending in sendings]
        memory = np.full(len(sendings), np.nan)
        if slot_s is not None:
            state = self._slotted(domain, sendings, now_s, slot_s)
            memory = np.array([state.before.get(each.flow, np.nan) for each in sendings])
        division = self.air.divide(
            [sending.flow for sending in sendings],
            1,
            lambda: known,
            [sending.feedback.offset_db for sending in sendings],
            lambda: np.array([sending.remaining_at_change for sending in sendings]),
            memory,
        )
        for number, sending in enumerate(sendings):
            share = division.shares[number]
            sending.share = float(share[0, 0]) if share.shape[1] == 1 else share
            if slot_s is not None and division.memory is not None:
                state.after[sending.flow] = float(division.memory[number, 0])

    def _slotted(
        self, domain: int, sendings: Sequence[_Sending], now_s: float, slot_s: float
    ) -> _Domain:
        """Return the domain's state in the present slot, and see to it that the next comes."""
        if domain not in self._domains:
            self._domains[domain] = _Domain(Timer(self.env, partial(self._slot, domain)))
        state = self._domains[domain]
        slot = sample_index(now_s, slot_s)
        if slot != state.slot:
            state.slot, state.before = slot, state.after
        on_air = {sending.flow for sending in sendings}
        state.before = {flow: value for flow, value in state.before.items() if flow in on_air}
        state.after = dict(state.before)
        self._flows[domain] = [sending.flow for sending in sendings]
        state.timer.set((slot + 1) * slot_s)
        return state

    def _slot(self, domain: int, at_s: float) -> None:
        """A slot begins: the channels of a domain change at once, and its shares."""
        sendings = [self._sendings[flow] for flow in self._flows[domain] if flow in self._sendings]
        for sending in sendings:
            self._serve(sending)
        for sending in sendings:
            if sending.next_sample_s <= at_s:
                self._next_sample(sending)
        if sendings:
            self._divide(domain, sendings)
        for sending in sendings:
            self._go_on(sending)

    def _wake(self, sending: _Sending, at_s: float) -> None:
        """An attempt ends or the channel changes."""
        self._serve(sending)
        if at_s == sending.next_sample_s and self.air.rule.slot_s is None:
            self._next_sample(sending)
        self._go_on(sending)

    def _next_sample(self, sending: _Sending) -> None:
        sending.sample += 1
        lost = sending.num_lost
        sending.feedback.acknowledge(sending.sample, sending.num_attempts - lost, lost)

    def _serve(self, sending: _Sending) -> None:
        """Book the bits served until now; if they were the attempt's last, it ends."""
        now_s = self.env.now
        bits = sending.rate_bps * (now_s - sending.since_s)
        if sending.rate_bps > 0.0 and now_s - sending.attempt_start_s > tolerance_s(now_s):
            sending.attempt_waits = False
        sending.served_bits += bits
        sending.since_s = now_s
        sending.remaining_bits -= bits
        if sending.complete or sending.remaining_bits > sending.rate_bps * tolerance_s(now_s):
            return
        sending.end_attempt(now_s)

    def _go_on(self, sending: _Sending) -> None:
        """Go on at the present gain and share, or end."""
        if sending.complete:
            self._remove(sending)
            self.aired(sending.flow, self._airing(sending))
            return
        now_s = self.env.now
        sending.known = sending.known_now(now_s)
        now = self.air.conditions(
            sending.sinr(), sending.known, sending.share, sending.feedback.offset_db
        )
        sending.snr, sending.rate_bps = now.snr[:, 0], float(now.rate_bps[0])
        sending.efficiency = float(now.efficiency[0])
        if sending.attempt_waits:
            sending.attempt_snr, sending.attempt_efficiency = sending.snr, sending.efficiency
        end_s = math.inf
        if sending.rate_bps > 0.0:
            end_s = now_s + sending.remaining_bits / sending.rate_bps
        next_sample_s = sending.next_sample_s if self.air.rule.slot_s is None else math.inf
        sending.timer.set(min(end_s, next_sample_s))

    def _remove(self, sending: _Sending) -> None:
        sending.timer.cancel()
        flow = sending.flow
        del self._sendings[flow]
        state = self._domains.get(flow.domain)
        if state is not None:
            self._flows[flow.domain] = [
                each for each in self._flows[flow.domain] if each is not flow
            ]
            if not self._flows[flow.domain]:
                state.timer.cancel()
                del self._domains[flow.domain], self._flows[flow.domain]

    def _airing(self, sending: _Sending) -> Airing:
        """Return what a flow came to that ends now, or is cut."""
        flow, now_s = sending.flow, self.env.now
        attempts = np.array(sending.attempts, dtype=np.int64)
        start_s, end_s = np.array(sending.start_s), np.array(sending.end_s)
        had_s, collected = np.array(sending.had_s).T, np.array(sending.collected).T
        num_attempts, in_flight_bits = sending.num_attempts, 0.0
        if not sending.complete:
            in_flight_bits = float(sending.packet_bits[sending.packet]) - sending.remaining_bits
            if Airing.has_begun(in_flight_bits, sending.served_bits):  # and is cut
                num_attempts += 1
                attempts[-1] += 1
                end_s[-1] = now_s
        shape = (len(flow.receivers), flow.packets.num)

        def delivered_by(t_s: float) -> Bools:
            through = np.zeros(shape, dtype=np.bool_)
            through[:, : had_s.shape[1]] = had_s <= t_s + tolerance_s(t_s)
            return through

        def collected_snr() -> Floats:
            of_all = np.zeros(shape) if flow.held_snr is None else flow.held_snr.copy()
            of_all[:, : collected.shape[1]] = collected
            return of_all

        def times() -> PacketTimes:
            begun = attempts > 0
            return PacketTimes(start_s[begun], end_s[begun], attempts[begun])

        return Airing(
            end_s=now_s,
            complete=sending.complete,
            num_attempts=num_attempts,
            served_bits=sending.served_bits,
            lost_bits=sending.lost_bits,
            in_flight_bits=in_flight_bits,
            delivered_by=delivered_by,
            collected_snr=collected_snr,
            times=times,
        )
