"""Clustered decentralised learning (P1, P2): aggregate inside clusters, exchange between them.

Every round each device trains, sends its update to its neighbours of the cluster and aggregates
what arrived, with Metropolis weights (equations (8) and (9), resolved form). Every E rounds the
gateways of neighbouring clusters swap what their clusters have learned, and spread it in their
cluster; that is stored and not aggregated.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import simpy
from pydantic import Field

from cosim.boundary import Delivery, Payload
from cosim.planning.mixing import mixing
from cosim.sim.protocols.base import Protocol, Steps
from cosim.sim.simulation import Simulation
from cosim.units import Seconds

Receive = Callable[[Simulation, Delivery], None]


class ClusteredDfl(Protocol):
    """Synchronous rounds.

    Attributes:
        inner_rounds: clusters exchange after every so many rounds (E).
        round_deadline_s: a round closes this long after it began even if devices still train or
            updates are still on their way; None waits for all. An exchange that is due comes
            after, and takes the time it takes.
        late: what becomes of an update that arrives after its round has closed: `drop` it, or
            `stale`: aggregate it in the next round with a lower weight. Either way its packets
            stay on the air, and use the band, until they are through or `transport.deadline`.
        staleness: the factor on a late update's weight for every round that it is late.
        round_interval_s: a round begins no sooner than this after the last began; None for at once
            when that is over.
    """

    inner_rounds: Annotated[int, Field(ge=1)] = 5
    round_deadline_s: Annotated[Seconds, Field(gt=0)] | None = None
    late: Literal["drop", "stale"] = "drop"
    staleness: Annotated[float, Field(gt=0, le=1)] = 0.5
    round_interval_s: Annotated[Seconds, Field(gt=0)] | None = None

    def until_next_round(self, sim: Simulation) -> Steps:
        """Wait until `round_interval_s` after the last round's begin."""
        if self.round_interval_s is not None and sim.books.round > 0:
            wait_s = sim.books.start_s + self.round_interval_s - sim.now_s
            yield sim.env.timeout(max(wait_s, 0.0))

    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Let every device that is free train and send; close the round at its deadline."""
        free = [device for device in sim.alive_devices() if device not in sim.training]
        everyone = sim.env.all_of(
            [sim.env.process(self._train_and_send(sim, device, round)) for device in free]
        )
        if self.round_deadline_s is None:
            yield everyone
        else:
            yield everyone | sim.env.timeout(self.round_deadline_s)

    def _train_and_send(self, sim: Simulation, device: int, round: int) -> Steps:
        finished = yield from sim.train(device, round)
        if not finished:
            return
        if sim.plan.multicast[device]:
            yield self._multicast_update(sim, device, round)
            return
        yield self._send_to_neighbours(
            sim,
            device,
            lambda dst: sim.learner.update_payload(device, dst, round),
            self._receive,
        )

    def _multicast_update(self, sim: Simulation, device: int, round: int) -> simpy.Event:
        """Send one update to all alive neighbours at once; the event is when all have received."""
        links = sim.plan.links
        alive = [link for link in links.outgoing(device) if sim.alive[links.dst[link]]]
        receivers = [int(links.dst[link]) for link in alive]
        payload = None
        if receivers:
            payload = sim.learner.update_payload(device, receivers[0], round, receivers[1:])
        if payload is None:
            return sim.env.all_of([])
        payloads = [dataclasses.replace(payload, dst=dst) for dst in receivers]
        transfers = sim.multicast(payloads, float(links.power_w[alive[0]]))
        return self._when_received(sim, transfers, self._receive)

    def _send_to_neighbours(
        self,
        sim: Simulation,
        device: int,
        payload_for: Callable[[int], Payload | None],
        receive: Receive,
    ) -> simpy.Event:
        """Send to each alive neighbour of the cluster; the event is when all have received."""
        links = sim.plan.links
        transfers = []
        for link in links.outgoing(device):
            dst = int(links.dst[link])
            payload = payload_for(dst) if sim.alive[dst] else None
            if payload is not None:
                transfers.append(sim.send(payload, float(links.power_w[link])))
        return self._when_received(sim, transfers, receive)

    def _when_received(
        self, sim: Simulation, transfers: Sequence[simpy.Event], receive: Receive
    ) -> simpy.Event:
        """Take in each transfer when it ends; the event is when all have."""

        def ended(transfer: simpy.Event) -> None:
            delivery = transfer.value
            assert isinstance(delivery, Delivery)
            receive(sim, delivery)

        for transfer in transfers:
            assert transfer.callbacks is not None  # no event that starts now has been handled yet
            transfer.callbacks.append(ended)
        return sim.env.all_of(transfers)

    def _receive(self, sim: Simulation, delivery: Delivery) -> None:
        if delivery.outcome == "expired":
            sim.count_late(delivery, "transfer expired")
        if sim.usable(delivery):
            sim.inbox[delivery.payload.dst].append(delivery)

    def aggregate(self, sim: Simulation, round: int) -> None:
        """Let every device that is not training aggregate what it has received."""
        links = sim.plan.links
        weight, _ = mixing(links.src, links.dst, len(sim.groups))
        weight_of = {
            (int(src), int(dst)): float(w)
            for src, dst, w in zip(links.src, links.dst, weight, strict=True)
        }
        for device in sim.alive_devices():
            if device in sim.training:
                continue
            newest: dict[int, Delivery] = {}
            for delivery in sim.inbox[device]:
                late = delivery.payload.round < round
                if late:
                    sim.count_late(delivery, f"aggregated no sooner than round {round}")
                if late and self.late == "drop":
                    continue
                src = delivery.payload.src
                # A late update may come after its successor: the two share the band.
                if src not in newest or newest[src].payload.round < delivery.payload.round:
                    newest[src] = delivery
            sim.inbox[device].clear()
            usable = [
                delivery for src, delivery in sorted(newest.items()) if (src, device) in weight_of
            ]
            staleness = [round - delivery.payload.round for delivery in usable]
            weights = [
                weight_of[delivery.payload.src, device] * self.staleness**rounds
                for delivery, rounds in zip(usable, staleness, strict=True)
            ]
            sim.merge(device, usable, weights, staleness)

    def exchange(self, sim: Simulation, round: int) -> Steps:
        """Let gateways swap what their clusters know, and spread it."""
        if round % self.inner_rounds != 0:
            return
        gateways = sim.plan.gateways
        ends = zip(gateways.src.tolist(), gateways.dst.tolist(), gateways.power_w, strict=True)
        yield sim.env.all_of(
            [
                sim.env.process(self._cross(sim, round, src, dst, float(power_w)))
                for src, dst, power_w in ends
                if sim.alive[src] and sim.alive[dst]
            ]
        )

    def _cross(self, sim: Simulation, round: int, src: int, dst: int, power_w: float) -> Steps:
        payload = sim.learner.exchange_payload(src, dst, round)
        if payload is None:
            return
        delivery = yield sim.send(payload, power_w)
        assert isinstance(delivery, Delivery)
        if not sim.usable(delivery):
            return
        sim.learner.store(dst, [delivery])
        if sim.alive[dst]:
            yield self._send_to_neighbours(
                sim,
                dst,
                lambda member: sim.learner.spread_payload(dst, member, round, [delivery]),
                self._store,
            )

    def _store(self, sim: Simulation, delivery: Delivery) -> None:
        if sim.usable(delivery):
            sim.learner.store(delivery.payload.dst, [delivery])
