"""The fast engine: whole packet trains in arrays, one event per change of a flow.

For each flow it looks ahead over channel samples, integrates the rate, and finds where the bits
of all its attempts are served: that is the flow's end, and the only event. When a share changes
it settles what was served until then and looks ahead again. A look is bounded: where the end is
not in it, its own end is an event, and the next look begins there.

Where a rule divides the band slot by slot, the flows of a domain look ahead together, and their
shares of all slots are found at once.

Work grows with flows, share changes and channel samples; a packet costs a draw and a comparison.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.radio.sampling import sample_index, sample_times_s, tolerance_s
from cosim.radio.service import Service
from cosim.sim.engines.air import Air
from cosim.sim.engines.base import Engine, Timer
from cosim.sim.engines.flow import Airing, Flow, PacketTimes
from cosim.sim.engines.losses import losses
from cosim.sim.engines.train import FIRST_LOOK, Look, Train

Floats = NDArray[np.float64]

_SPARE = 2.5  # times as far as a flow is likely to last
_LONGEST_FIRST_LOOK = 16 * FIRST_LOOK
_LATELY = 0.1  # weight of the newest flow in what is likely
_LONGEST_LOOK = 32768  # so that no single step takes long or much memory
_LOOK_GROWTH = 256  # a fade must not make one look far longer than those before


@dataclass(slots=True)
class _Domain:
    """The flows on the air in one domain, in the order of their starts.

    Attributes:
        timer: its earliest event.
        trains: by flow.
        memory: what the sharing rule remembered of each flow before slot `first` of the last
            look, and after each slot of it, [1 + K] each.
        first: the slot.
    """

    timer: Timer
    trains: dict[Flow, Train] = field(default_factory=dict)
    memory: dict[Flow, Floats] = field(default_factory=dict)
    first: int = 0

    def remembered(self, flow: Flow, slot: int) -> float:
        """Return what the rule remembered of a flow before a slot."""
        memory = self.memory.get(flow)
        return math.nan if memory is None else float(memory[slot - self.first])


class PacketTrain(Engine):
    """One event per change of a flow."""

    def __init__(
        self,
        env: simpy.Environment,
        air: Air,
        aired: Callable[[Flow, Airing], None],
        record: bool,
    ) -> None:
        super().__init__(env, air, aired, record)
        self._trains: dict[Flow, Train] = {}
        self._domains: dict[int, _Domain] = {}
        self._mean_bps = 0.0  # of flows that ended lately; it steers looks, not what they find

    def begin(self, flow: Flow) -> None:
        """See `Engine.begin`."""
        sample = sample_index(self.env.now, flow.sample_interval_s)
        train = Train(flow, self.air, losses(flow, self.air), sample)
        train.look = self._first_look(train)
        self._trains[flow] = train
        domain = self._domains.get(flow.domain)
        if domain is None:
            number = flow.domain
            timer = Timer(self.env, lambda at_s: self._wake(number, at_s))
            domain = self._domains[number] = _Domain(timer)
        domain.trains[flow] = train

    def divide(self, domain: int, flows: Sequence[Flow]) -> None:
        """See `Engine.divide`."""
        trains = self._stop(flows)
        if self.air.rule.slot_s is None:
            self._divide(trains, self.env.now)
            return
        for train in trains:
            train.remaining_bits = self._remaining_bits(train)

    def refresh(self, domain: int, flows: Sequence[Flow]) -> None:
        """See `Engine.refresh`."""
        now_s = self.env.now
        trains = self._stop(flows)
        if self.air.rule.slot_s is not None:
            self._predict_slots(self._domains[domain], now_s)
        else:
            for train in trains:
                self._predict(train, self._look(train, now_s), train.share)
        self._arm(domain)

    def _stop(self, flows: Sequence[Flow]) -> list[Train]:
        """Settle what these flows were served until now."""
        now_s = self.env.now
        trains = [self._trains[flow] for flow in flows]
        for train in trains:
            train.expect_change(now_s)
            self._settle(train, now_s)
        return trains

    def progress(self, flow: Flow) -> Airing:
        """See `Engine.progress`."""
        train = self._trains[flow]
        self._settle(train, self.env.now)
        return self._airing(train, self.env.now)

    def radiated_j(self, flow: Flow) -> float:
        """See `Engine.radiated_j`."""
        train = self._trains[flow]
        if train.ahead is None:
            return train.settled_j
        return train.settled_j + train.radiated_j(train.ahead.until(self.env.now))

    def cut(self, flow: Flow) -> Airing:
        """See `Engine.cut`."""
        train = self._remove(flow)
        now_s = self.env.now
        self._settle(train, now_s)
        return self._airing(train, now_s)

    def _arm(self, number: int) -> None:
        domain = self._domains[number]
        domain.timer.set(min((train.next_s for train in domain.trains.values()), default=math.inf))

    def _wake(self, number: int, at_s: float) -> None:
        """The earliest flow of a domain ends, or its look does."""
        slotted = self.air.rule.slot_s is not None
        domain, look_ended = self._domains[number], False
        due = [train for train in domain.trains.values() if train.next_s <= at_s]
        for train in due:
            if train.flow not in self._trains:  # cut by what another's end set off
                continue
            self._settle(train, at_s)
            if train.ends:
                self._remove(train.flow)
                airing = self._airing(train, at_s)
                self._learn(train.flow, airing)
                self.aired(train.flow, airing)
            elif slotted:
                look_ended = True
            else:
                self._predict(train, self._look(train, at_s), train.share)
        if self._domains.get(number) is not domain:
            return
        if look_ended:
            for train in domain.trains.values():
                self._settle(train, at_s)
            self._predict_slots(domain, at_s)
        self._arm(number)

    def _first_look(self, train: Train) -> int:
        """Return how far a new flow looks: as long as it would last at the rate of those before."""
        if self._mean_bps == 0.0 or self.air.rule.slot_s is not None:
            return FIRST_LOOK
        likely_s = train.losses.expected_bits / self._mean_bps
        likely = _SPARE * likely_s / train.flow.sample_interval_s
        return int(min(max(likely, FIRST_LOOK), _LONGEST_FIRST_LOOK))

    def _learn(self, flow: Flow, airing: Airing) -> None:
        """Take in the mean rate of a flow that has ended."""
        lasted_s = airing.end_s - flow.start_s
        if lasted_s > 0.0:
            newest_bps = airing.served_bits / lasted_s
            weight = _LATELY if self._mean_bps > 0.0 else 1.0
            self._mean_bps += weight * (newest_bps - self._mean_bps)

    def _remove(self, flow: Flow) -> Train:
        train = self._trains.pop(flow)
        domain = self._domains[flow.domain]
        del domain.trains[flow]
        if not domain.trains:
            domain.timer.cancel()
            del self._domains[flow.domain]
        return train

    def _settle(self, train: Train, now_s: float) -> None:
        """Move what is before now from the future to the past."""
        if train.ahead is None:
            return
        done, seen, feedback = train.ahead.until(now_s), train.seen, train.feedback
        train.ahead = train.seen = None
        train.settled_j += train.radiated_j(done)
        train.losses.settle(done, now_s)
        if not self.record:
            # What came through is asked for no earlier than a delay before the end.
            oldest_s = now_s - train.flow.delay_s - tolerance_s(now_s)
            while train.past and train.past[0].end_s < oldest_s:
                del train.past[0]
        train.past.append(done)
        assert seen is not None
        if feedback.has_reports and now_s - train.flow.start_s > tolerance_s(now_s):
            interval_s = train.flow.sample_interval_s
            before = sample_index(now_s - 2.0 * tolerance_s(now_s), interval_s)
            if before >= seen.first:
                feedback.hold(seen.known, seen.first, min(before, seen.first + seen.num - 1))
            if feedback.adapts:
                attempts = train.losses.attempts
                ended = attempts.num_within(done.end_mark_bits)
                lost = int(np.count_nonzero(attempts.lost[:ended]))
                feedback.acknowledge(sample_index(now_s, interval_s), ended - lost, lost)

    def _look(self, train: Train, now_s: float, num: int | None = None) -> Look:
        """Look ahead from now, over `num` samples, or as many as are likely to be of use."""
        start_s = train.start_s(now_s)
        first = sample_index(start_s, train.flow.sample_interval_s)
        if num is None:
            num = min(train.wanted(first), train.most(start_s, first))
        sinr = train.signals.sinr(first, num)
        return Look(start_s, first, sinr, train.feedback.known(sinr, first))

    def _divide(self, trains: Sequence[Train], now_s: float) -> None:
        """Divide a band until flows start or end again."""

        def known() -> list[Floats]:
            return [self._look(train, now_s, 1).known for train in trains]

        division = self.air.divide(
            [train.flow for train in trains],
            1,
            known,
            [train.feedback.offset_db for train in trains],
            lambda: np.array([self._remaining_bits(train) for train in trains]),
            np.full(len(trains), np.nan),
        )
        for train, share in zip(trains, division.shares, strict=True):
            train.share = float(share[0, 0]) if share.shape[1] == 1 else share

    def _predict_slots(self, domain: _Domain, now_s: float) -> None:
        """Look ahead with all flows of a domain, dividing its band slot by slot."""
        trains = list(domain.trains.values())
        starts_s = [train.start_s(now_s) for train in trains]
        slot = max(
            sample_index(start_s, train.flow.sample_interval_s)
            for train, start_s in zip(trains, starts_s, strict=True)
        )
        num = min(
            max(train.wanted(slot) for train in trains),
            *(train.most(start_s, slot) for train, start_s in zip(trains, starts_s, strict=True)),
        )
        looks = [self._look(train, now_s, num) for train in trains]
        memory = np.array([domain.remembered(train.flow, slot) for train in trains])
        division = self.air.divide(
            [train.flow for train in trains],
            num,
            lambda: [look.known for look in looks],
            [train.feedback.offset_db for train in trains],
            lambda: np.array([train.remaining_bits for train in trains]),
            memory,
        )
        domain.first, domain.memory = slot, {}
        if division.memory is not None:
            after = np.concatenate([memory[:, np.newaxis], division.memory], axis=1)
            domain.memory = {train.flow: row for train, row in zip(trains, after, strict=True)}
        for train, look, share in zip(trains, looks, division.shares, strict=True):
            self._predict(train, look, share)

    def _predict(self, train: Train, look: Look, share: float | Floats) -> None:
        """Find the end of a flow from what it looks at, or where to look again."""
        flow, start_s, num = train.flow, look.start_s, look.num
        start_bits, carry_bits = 0.0, -math.inf
        if train.past:
            start_bits, carry_bits = train.past[-1].end_bits, train.past[-1].end_mark_bits
        interval_s = flow.sample_interval_s
        if math.isinf(interval_s):
            time = np.array([start_s, max(flow.deadline_s, start_s) + 1.0])
        else:
            time = sample_times_s(look.first, num + 1, interval_s)
            time[0] = start_s
        now = self.air.conditions(look.sinr, look.known, share, train.feedback.offset_db)
        ahead = Service.of(time, now.rate_bps, start_bits, carry_bits)
        train.losses.look(ahead, now)
        train.ahead, train.seen = ahead, look
        train.power_w, train.duty = flow.power_w, now.duty
        has_all_time = isinstance(now.duty, float) and now.duty == 1.0
        train.is_always_on = has_all_time and bool(now.rate_bps.min() > 0.0)
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
            train.look = int(min(max(enough, FIRST_LOOK), longest))

    def _remaining_bits(self, train: Train) -> float:
        """Return the bits still to be served if no attempt is lost from now on."""
        served = train.past[-1].end_bits if train.past else 0.0
        mark = train.past[-1].end_mark_bits if train.past else 0.0
        attempts = train.losses.attempts
        ended = attempts.num_within(mark)
        through = int(np.searchsorted(attempts.ends, ended))
        partial = served - attempts.bits_of(ended)
        # The last bits may be served ahead of time, by less than the tolerance.
        return max(float(train.flow.packets.bits()[through:].sum()) - partial, 0.0)

    def _airing(self, train: Train, now_s: float) -> Airing:
        """Return what a settled train came to; it ends now, or by its last attempt."""
        flow, attempts, service = train.flow, train.losses.attempts, train.service()
        if service is None:  # cut in the instant of its start
            return Airing.nothing(flow, now_s)
        ended = attempts.num_within(service.end_mark_bits)
        complete = attempts.complete and ended == len(attempts.lost)
        end_s = service.end_of(attempts.total_bits) if complete else now_s
        in_flight_bits = service.end_bits - attempts.bits_of(ended)
        cut = not complete and Airing.has_begun(in_flight_bits, service.end_bits)
        begun = ended + cut

        def delivered_by(t_s: float) -> NDArray[np.bool_]:
            if complete and t_s >= end_s:
                return train.losses.received(ended)
            reached = float(service.reached_bits(t_s + tolerance_s(t_s)))
            return train.losses.received(min(attempts.num_within(reached), ended))

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
            num_begun=flow.packets.num if complete else attempts.num_packets_begun(begun),
            served_bits=service.end_bits,
            lost_bits=attempts.lost_bits(ended),
            in_flight_bits=in_flight_bits,
            radiated_j=train.settled_j,
            delivered_by=delivered_by,
            collected_snr=lambda: train.losses.collected_snr(ended),
            times=times,
        )
