"""The fast engine: whole packet trains in arrays, one event per change of a flow.

For each flow it looks ahead over channel samples, integrates the rate, and finds where the bits
of all its attempts are served: that is the flow's end, and the only event. When a share changes
it settles what was served until then and looks ahead again. A look is bounded: where the end is
not in it, its own end is an event, and the next look begins there.

Work grows with flows, share changes and channel samples; a packet costs a draw and a comparison.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.radio.sampling import sample_index, sample_times_s, tolerance_s
from cosim.radio.service import Service
from cosim.sim.engines.base import Airing, Engine, Flow, Medium, PacketTimes, Timer
from cosim.sim.engines.losses import Losses, losses

Floats = NDArray[np.float64]

_FIRST_LOOK = 64  # channel samples; as cheap as one, and enough for a short flow
_LONGEST_LOOK = 16384  # so that no single step takes long or much memory
_LOOK_GROWTH = 16  # a fade must not make one look far longer than those before


class _Train:
    """One flow's past and future on the air."""

    def __init__(self, flow: Flow, known: Losses) -> None:
        self.flow = flow
        self.losses = known
        self.past: list[Service] = []
        self.ahead: Service | None = None
        self.look = _FIRST_LOOK
        self.next_s = math.inf  # its end, if `ends`, or that of the look
        self.ends = False
        self.gain_first = 0  # channel samples read: gain[i] is sample gain_first + i
        self.gain = np.empty(0)

    def gains(self, medium: Medium, first: int, num: int) -> Floats:
        """Return the gain at samples `first`, ..., reading those not yet read."""
        kept = self.gain[first - self.gain_first :]
        if len(kept) < num:
            more = medium.gains(self.flow, first + len(kept), num - len(kept))
            kept = np.concatenate([kept, more]) if len(kept) else more
            self.gain_first, self.gain = first, kept
        return kept[:num]

    def wanted(self, first: int) -> int:
        """Return how many samples to look at from `first` on: those read already, if worth it."""
        read = self.gain_first + len(self.gain) - first
        return read if self.look <= 4 * read <= 16 * self.look else self.look

    def service(self) -> Service | None:
        """Return the service since the oldest part that is kept."""
        return Service.join(self.past) if self.past else None


class PacketTrain(Engine):
    """One event per change of a flow."""

    def __init__(
        self,
        env: simpy.Environment,
        medium: Medium,
        aired: Callable[[Flow, Airing], None],
        record: bool,
    ) -> None:
        super().__init__(env, medium, aired, record)
        self._trains: dict[Flow, _Train] = {}
        self._domains: dict[int, dict[Flow, _Train]] = {}
        self._timers: dict[int, Timer] = {}  # one per domain: its earliest event

    def begin(self, flow: Flow) -> None:
        """See `Engine.begin`."""
        train = _Train(flow, losses(flow, self.medium))
        self._trains[flow] = train
        self._domains.setdefault(flow.domain, {})[flow] = train

    def refresh(self, domain: int, flows: Sequence[Flow]) -> None:
        """See `Engine.refresh`."""
        now_s = self.env.now
        for flow in flows:
            train = self._trains[flow]
            self._settle(train, now_s)
            self._predict(train, now_s)
        self._arm(domain)

    def cut(self, flow: Flow) -> Airing:
        """See `Engine.cut`."""
        train = self._remove(flow)
        now_s = self.env.now
        self._settle(train, now_s)
        return self._airing(train, now_s)

    def gain(self, flow: Flow) -> float:
        """See `Engine.gain`."""
        sample = sample_index(self.env.now, flow.sample_interval_s)
        return float(self._trains[flow].gains(self.medium, sample, 1)[0])

    def remaining_bits(self, flow: Flow) -> float:
        """See `Engine.remaining_bits`."""
        train = self._trains[flow]
        self._settle(train, self.env.now)
        served = train.past[-1].end_bits if train.past else 0.0
        mark = train.past[-1].end_mark_bits if train.past else 0.0
        attempts = train.losses.attempts
        ended = attempts.num_within(mark)
        through = int(np.searchsorted(attempts.ends, ended))
        partial = served - attempts.bits_of(ended)
        return float(flow.packets.bits()[through:].sum()) - partial

    def _arm(self, domain: int) -> None:
        trains = self._domains[domain]
        if domain not in self._timers:
            self._timers[domain] = Timer(self.env, lambda at_s: self._wake(domain, at_s))
        next_s = min((train.next_s for train in trains.values()), default=math.inf)
        self._timers[domain].set(next_s)

    def _wake(self, domain: int, at_s: float) -> None:
        """The earliest flow of a domain ends, or its look does."""
        due = [train for train in self._domains[domain].values() if train.next_s <= at_s]
        for train in due:
            if train.flow not in self._trains:  # cut by what another's end set off
                continue
            self._settle(train, at_s)
            if train.ends:
                self._remove(train.flow)
                self.aired(train.flow, self._airing(train, at_s))
            else:
                self._predict(train, at_s)
        if domain in self._domains:
            self._arm(domain)

    def _remove(self, flow: Flow) -> _Train:
        train = self._trains.pop(flow)
        trains = self._domains[flow.domain]
        del trains[flow]
        if not trains:
            del self._domains[flow.domain]
            timer = self._timers.pop(flow.domain, None)
            if timer is not None:
                timer.cancel()
        return train

    def _settle(self, train: _Train, now_s: float) -> None:
        """Move what is before now from the future to the past."""
        if train.ahead is None:
            return
        done = train.ahead.until(now_s)
        train.ahead = None
        train.losses.settle(done, now_s)
        if not self.record:
            # What came through is asked for no earlier than a delay before the end.
            oldest_s = now_s - train.flow.delay_s - tolerance_s(now_s)
            train.past = [part for part in train.past if part.end_s >= oldest_s]
        train.past.append(done)

    def _predict(self, train: _Train, now_s: float) -> None:
        """Look ahead from now at the present share; find the end, or where to look again."""
        flow = train.flow
        start_s, start_bits, carry_bits = now_s, 0.0, -math.inf
        if train.past:
            last = train.past[-1]
            start_s, start_bits, carry_bits = last.end_s, last.end_bits, last.end_mark_bits
        interval_s = flow.sample_interval_s
        first = sample_index(start_s, interval_s)
        if math.isinf(interval_s):
            num = 1
            time = np.array([start_s, max(flow.deadline_s, start_s) + 1.0])
        else:
            most = int((flow.deadline_s - start_s) / interval_s) + 2
            num = min(train.wanted(first), most)
            time = sample_times_s(first, num + 1, interval_s)
            time[0] = start_s
        snr, rate = self.medium.conditions(flow, train.gains(self.medium, first, num))
        ahead = Service.of(time, rate, start_bits, carry_bits)
        train.losses.look(ahead, snr)
        train.ahead = ahead
        train.ends = False
        train.next_s = ahead.end_s
        if train.losses.attempts.complete:
            end_s = ahead.end_of(train.losses.attempts.total_bits)
            train.ends = end_s < math.inf
            train.next_s = end_s if train.ends else ahead.end_s
        if not train.ends and num > 1:
            served = ahead.end_bits - start_bits
            left = max(train.losses.expected_bits - ahead.end_bits, 0.0)
            enough = 1.1 * num * left / served + 8 if served > 0.0 else math.inf
            longest = min(_LOOK_GROWTH * num, _LONGEST_LOOK)
            train.look = int(min(max(enough, _FIRST_LOOK), longest))

    def _airing(self, train: _Train, now_s: float) -> Airing:
        """Return what a settled train came to; it ends now, or by its last attempt."""
        flow, attempts, service = train.flow, train.losses.attempts, train.service()
        if service is None:  # cut in the instant of its start
            return Airing.nothing(flow.packets, now_s)
        ended = attempts.num_within(service.end_mark_bits)
        complete = attempts.complete and ended == len(attempts.lost)
        end_s = service.end_of(attempts.total_bits) if complete else now_s
        begun_s = now_s - tolerance_s(now_s)
        begun = ended
        if not complete and begun_s >= flow.start_s:
            begun = max(attempts.num_begun(float(service.reached_bits(begun_s))), ended)

        def delivered_by(t_s: float) -> NDArray[np.bool_]:
            if complete and t_s >= end_s:
                return attempts.delivered(ended)
            reached = float(service.reached_bits(t_s + tolerance_s(t_s)))
            return attempts.delivered(min(attempts.num_within(reached), ended))

        def times() -> PacketTimes:
            first = np.concatenate([[0], attempts.ends + 1])  # each packet's first attempt
            first = first[first < begun]
            if begun == 0:
                return PacketTimes.none()
            last = np.append(first[1:], begun) - 1
            start_s = service.reach_s(attempts.cumulative_bits(first))
            packet_end_s = service.reach_s(attempts.cumulative_bits(last + 1))
            packet_end_s[last >= ended] = end_s
            return PacketTimes(
                np.maximum(start_s, flow.start_s), packet_end_s, (last - first + 1).astype(np.int64)
            )

        return Airing(
            end_s=end_s,
            complete=complete,
            num_attempts=begun,
            served_bits=service.end_bits,
            lost_bits=attempts.lost_bits(ended),
            in_flight_bits=service.end_bits - attempts.bits_of(ended),
            delivered_by=delivered_by,
            times=times,
        )
