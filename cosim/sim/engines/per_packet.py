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


class _Course:
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
        self.radiated_w = 0.0
        self.radiated_j = 0.0
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
        self._courses: dict[Flow, _Course] = {}
        self._domains: dict[int, _Domain] = {}
        self._flows: dict[int, Sequence[Flow]] = {}

    def begin(self, flow: Flow) -> None:
        """See `Engine.begin`."""
        timer = Timer(self.env, lambda at_s: self._wake(course, at_s))
        course = _Course(flow, self.air, self.env.now, timer)
        self._courses[flow] = course

    def divide(self, domain: int, flows: Sequence[Flow]) -> None:
        """See `Engine.divide`."""
        courses = self._stop(flows)
        for course in courses:
            course.remaining_at_change = course.remaining_bits_of_all
        if self.air.rule.slot_s is None:
            self._divide(domain, courses)

    def refresh(self, domain: int, flows: Sequence[Flow]) -> None:
        """See `Engine.refresh`."""
        courses = self._stop(flows)
        if self.air.rule.slot_s is not None:
            self._divide(domain, courses)
        for course in courses:
            self._go_on(course)

    def _stop(self, flows: Sequence[Flow]) -> list[_Course]:
        """Book what these flows were served until now, and let the channel change if it does."""
        courses = [self._courses[flow] for flow in flows]
        now_s = self.env.now
        for course in courses:
            self._serve(course)
            if course.next_sample_s <= now_s + tolerance_s(now_s):  # its event may come after this
                self._next_sample(course)
        return courses

    def progress(self, flow: Flow) -> Airing:
        """See `Engine.progress`."""
        course = self._courses[flow]
        self._serve(course)
        return self._airing(course)

    def radiated_j(self, flow: Flow) -> float:
        """See `Engine.radiated_j`."""
        course = self._courses[flow]
        return course.radiated_j + course.radiated_w * (self.env.now - course.since_s)

    def cut(self, flow: Flow) -> Airing:
        """See `Engine.cut`."""
        course = self._courses[flow]
        self._serve(course)
        self._remove(course)
        return self._airing(course)

    def _divide(self, domain: int, courses: Sequence[_Course]) -> None:
        """Divide the band for now, or for the rest of the present slot."""
        now_s = self.env.now
        slot_s = self.air.rule.slot_s
        known = [course.known_now(now_s) for course in courses]
        memory = np.full(len(courses), np.nan)
        if slot_s is not None:
            state = self._slotted(domain, courses, now_s, slot_s)
            memory = np.array([state.before.get(each.flow, np.nan) for each in courses])
        division = self.air.divide(
            [course.flow for course in courses],
            1,
            lambda: known,
            [course.feedback.offset_db for course in courses],
            lambda: np.array([course.remaining_at_change for course in courses]),
            memory,
        )
        for number, course in enumerate(courses):
            share = division.shares[number]
            course.share = float(share[0, 0]) if share.shape[1] == 1 else share
            if slot_s is not None and division.memory is not None:
                state.after[course.flow] = float(division.memory[number, 0])

    def _slotted(
        self, domain: int, courses: Sequence[_Course], now_s: float, slot_s: float
    ) -> _Domain:
        """Return the domain's state in the present slot, and see to it that the next comes."""
        if domain not in self._domains:
            self._domains[domain] = _Domain(Timer(self.env, partial(self._slot, domain)))
        state = self._domains[domain]
        slot = sample_index(now_s, slot_s)
        if slot != state.slot:
            state.slot, state.before = slot, state.after
        on_air = {course.flow for course in courses}
        state.before = {flow: value for flow, value in state.before.items() if flow in on_air}
        state.after = dict(state.before)
        self._flows[domain] = [course.flow for course in courses]
        state.timer.set((slot + 1) * slot_s)
        return state

    def _slot(self, domain: int, at_s: float) -> None:
        """A slot begins: the channels of a domain change at once, and its shares."""
        courses = [self._courses[flow] for flow in self._flows[domain] if flow in self._courses]
        for course in courses:
            self._serve(course)
        for course in courses:
            if course.next_sample_s <= at_s:
                self._next_sample(course)
        if courses:
            self._divide(domain, courses)
        for course in courses:
            self._go_on(course)

    def _wake(self, course: _Course, at_s: float) -> None:
        """An attempt ends or the channel changes."""
        self._serve(course)
        if at_s == course.next_sample_s and self.air.rule.slot_s is None:
            self._next_sample(course)
        self._go_on(course)

    def _next_sample(self, course: _Course) -> None:
        course.sample += 1
        lost = course.num_lost
        course.feedback.acknowledge(course.sample, course.num_attempts - lost, lost)

    def _serve(self, course: _Course) -> None:
        """Book the bits served until now; if they were the attempt's last, it ends."""
        now_s = self.env.now
        bits = course.rate_bps * (now_s - course.since_s)
        if course.rate_bps > 0.0 and now_s - course.attempt_start_s > tolerance_s(now_s):
            course.attempt_waits = False
        course.served_bits += bits
        course.radiated_j += course.radiated_w * (now_s - course.since_s)
        course.since_s = now_s
        course.remaining_bits -= bits
        if course.complete or course.remaining_bits > course.rate_bps * tolerance_s(now_s):
            return
        course.end_attempt(now_s)

    def _go_on(self, course: _Course) -> None:
        """Go on at the present gain and share, or end."""
        if course.complete:
            self._remove(course)
            self.aired(course.flow, self._airing(course))
            return
        now_s = self.env.now
        course.known = course.known_now(now_s)
        now = self.air.conditions(
            course.sinr(), course.known, course.share, course.feedback.offset_db
        )
        course.snr, course.rate_bps = now.snr[:, 0], float(now.rate_bps[0])
        course.efficiency = float(now.efficiency[0])
        duty = now.duty if isinstance(now.duty, float) else float(now.duty[0])
        course.radiated_w = duty * course.flow.power_w if course.rate_bps > 0.0 else 0.0
        if course.attempt_waits:
            course.attempt_snr, course.attempt_efficiency = course.snr, course.efficiency
        end_s = math.inf
        if course.rate_bps > 0.0:
            end_s = now_s + course.remaining_bits / course.rate_bps
        next_sample_s = course.next_sample_s if self.air.rule.slot_s is None else math.inf
        course.timer.set(min(end_s, next_sample_s))

    def _remove(self, course: _Course) -> None:
        course.timer.cancel()
        flow = course.flow
        del self._courses[flow]
        state = self._domains.get(flow.domain)
        if state is not None:
            self._flows[flow.domain] = [
                each for each in self._flows[flow.domain] if each is not flow
            ]
            if not self._flows[flow.domain]:
                state.timer.cancel()
                del self._domains[flow.domain], self._flows[flow.domain]

    def _airing(self, course: _Course) -> Airing:
        """Return what a flow came to that ends now, or is cut."""
        flow, now_s = course.flow, self.env.now
        attempts = np.array(course.attempts, dtype=np.int64)
        start_s, end_s = np.array(course.start_s), np.array(course.end_s)
        had_s, collected = np.array(course.had_s).T, np.array(course.collected).T
        num_attempts, in_flight_bits = course.num_attempts, 0.0
        if not course.complete:
            in_flight_bits = float(course.packet_bits[course.packet]) - course.remaining_bits
            if Airing.has_begun(in_flight_bits, course.served_bits):  # and is cut
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
            complete=course.complete,
            num_attempts=num_attempts,
            num_begun=int(np.count_nonzero(attempts)),
            served_bits=course.served_bits,
            lost_bits=course.lost_bits,
            in_flight_bits=in_flight_bits,
            radiated_j=course.radiated_j,
            delivered_by=delivered_by,
            collected_snr=collected_snr,
            times=times,
        )
