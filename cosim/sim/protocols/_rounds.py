"""Synchronous rounds: they close when all are through or at a deadline, and what is late is late.

Protocols whose devices wait for each other have these keys and steps in common.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

import simpy
from pydantic import Field, PrivateAttr

from cosim.boundary import Delivery
from cosim.planning.mixing import mixing
from cosim.sim.protocols._sending import is_received, links_to_alive, newest, send
from cosim.sim.protocols.base import Protocol, Steps
from cosim.sim.simulation import Simulation
from cosim.units import Seconds


class Synchronous(Protocol):
    """Rounds with a deadline.

    Attributes:
        round_deadline_s: a round closes this long after it began even if devices still train or
            updates are still on their way; it closes before that when all are through, those of
            earlier rounds, too. None waits for all. An exchange between clusters that is due comes
            after, and takes the time it takes.
        late: what becomes of an update that arrives after its round has closed: `drop` it, or
            `stale`: aggregate it in the next round with a lower weight. Either way its packets
            stay on the air, and use the band, until they are through or `transport.deadline`.
        staleness: the factor on a late update's weight for every round that it is late.
        round_interval_s: a round begins no sooner than this after the last began; None for at once
            when that is over.
    """

    closes_rounds: ClassVar[bool] = True

    round_deadline_s: Annotated[Seconds, Field(gt=0)] | None = None
    late: Literal["drop", "stale"] = "drop"
    staleness: Annotated[float, Field(gt=0, le=1)] = 0.5
    round_interval_s: Annotated[Seconds, Field(gt=0)] | None = None

    _under_way: list[simpy.Event] = PrivateAttr(default_factory=list)

    def until_next_round(self, sim: Simulation) -> Steps:
        """Wait until `round_interval_s` after the last round's begin."""
        if self.round_interval_s is not None and sim.books.round > 0:
            wait_s = sim.books.start_s + self.round_interval_s - sim.now_s
            yield sim.env.timeout(max(wait_s, 0.0))

    def closing(self, sim: Simulation) -> simpy.Event:
        """Return the event that a round that begins now has come to its deadline."""
        if self.round_deadline_s is None:
            return sim.env.event()
        return sim.env.timeout(self.round_deadline_s)

    def through(self, sim: Simulation, steps: Iterable[Steps], closes: simpy.Event) -> Steps:
        """Start these at once; return when all are through, or at an event.

        What goes on since earlier rounds has to be through, too, and what a new plan makes devices
        send anew meanwhile (`topology.in_flight: migrate`).
        """
        self._under_way = [each for each in self._under_way if not each.processed]
        self._under_way.extend(sim.env.process(each) for each in steps)
        sim.sent_anew.open()
        yield sim.env.all_of(self._under_way) | closes
        while (anew := sim.sent_anew.take()) and not closes.processed:
            yield sim.env.all_of(anew) | closes
        sim.sent_anew.close()

    def average(self, sim: Simulation, round: int) -> None:
        """Let all that are not training average what came from neighbours, by Metropolis weights.

        P1 (8) and (9), resolved. Whoever is training keeps what came for later.
        """
        weight_of = _metropolis(sim)
        for device in idle(sim):
            in_time = self.in_time(sim, device, round)
            linked = [each for each in in_time if (each.payload.src, device) in weight_of]
            weights = [weight_of[each.payload.src, device] for each in linked]
            self.merge(sim, device, round, linked, weights)

    def take_in_late(self, sim: Simulation, round: int) -> None:
        """Let whoever is not training average what came since the last round closed."""
        if any(sim.inbox[device] for device in idle(sim)):
            self.average(sim, round)

    def in_time(self, sim: Simulation, device: int, round: int) -> list[Delivery]:
        """Empty a device's inbox; return what it is to aggregate, the newest of each sender.

        What belongs to an earlier round is noted as late, and left out if `late` says so.
        """
        kept = []
        for delivery in sim.inbox[device]:
            is_late = delivery.payload.round < round
            if is_late:
                sim.books.late(delivery, f"aggregated no sooner than round {round}")
            if not is_late or self.late == "stale":
                kept.append(delivery)
        sim.inbox[device].clear()
        return newest(kept)

    def merge(
        self,
        sim: Simulation,
        device: int,
        round: int,
        deliveries: Sequence[Delivery],
        weights: Sequence[float],
    ) -> None:
        """Let a device aggregate, each update with its weight times `staleness`^rounds of age."""
        ages = [round - delivery.payload.round for delivery in deliveries]
        lowered = [w * self.staleness**age for w, age in zip(weights, ages, strict=True)]
        sim.merge(device, deliveries, lowered, ages)


def idle(sim: Simulation) -> list[int]:
    """Return the devices that take part and are not training, ascending."""
    return [device for device in sim.alive_devices() if device not in sim.training]


def everyone(sim: Simulation, steps: Iterable[Steps]) -> simpy.Event:
    """Start these at once; the event is when all are through."""
    return sim.env.all_of([sim.env.process(each) for each in steps])


def train_and_send(sim: Simulation, device: int, round: int) -> Steps:
    """Let a device train, and send its update to its neighbours; return when all have it."""
    finished = yield from sim.train(device, round)
    if finished:
        yield from send_update(sim, device, round)


def send_update(sim: Simulation, device: int, round: int) -> Steps:
    """Let a device send its update into its neighbours' inboxes; return when all have it."""
    sent: set[int] = set()

    def receive(delivery: Delivery) -> None:
        if delivery.outcome == "aborted":
            sent.discard(delivery.payload.dst)
        if is_received(sim, delivery):
            sim.inbox[delivery.payload.dst].append(delivery)

    def send_to_others() -> simpy.Event | None:
        dst = sim.plan.links.dst
        links = [link for link in links_to_alive(sim, device) if int(dst[link]) not in sent]
        sent.update(dst[links].tolist())
        make = sim.learner.update_payload
        return send(sim, make, device, round, links, receive) if links else None

    sim.sent_anew.offer(device, send_to_others)
    transfers = send_to_others()
    if transfers is not None:
        yield transfers


def _metropolis(sim: Simulation) -> dict[tuple[int, int], float]:
    """Return the mixing weight that a receiver gives to a sender, by sender and receiver."""
    links = sim.plan.links
    weight, _ = mixing(links.src, links.dst, len(sim.groups))
    ends = zip(links.src.tolist(), links.dst.tolist(), weight.tolist(), strict=True)
    return {(src, dst): w for src, dst, w in ends}
