"""Clustered decentralised learning (P1, P2): aggregate inside clusters, exchange between them.

Every round each device trains, sends its update to its neighbours of the cluster and aggregates
what arrived, with Metropolis weights (equations (8) and (9), resolved form). Every E rounds the
gateways of neighbouring clusters swap what their clusters have learned, and it floods their
cluster; that is stored and not aggregated.

A device passes on what is new to it once, to those of its neighbours that are no neighbours of whom
it has it from, and that are not about to tell it the same (flooding with self-pruning: Lim and Kim,
Flooding in wireless ad hoc networks, 2001). In a clique the gateway alone sends, and on a tree
nothing comes twice.
"""

from collections import defaultdict
from typing import Annotated, ClassVar

import simpy
from pydantic import Field

from cosim.boundary import Delivery
from cosim.sim.protocols._rounds import Synchronous, everyone, idle, train_and_send
from cosim.sim.protocols._sending import delivery_of, links_to_alive
from cosim.sim.protocols.base import Steps
from cosim.sim.simulation import Simulation


class ClusteredDfl(Synchronous):
    """Synchronous rounds in clusters, and exchanges between these.

    Attributes:
        inner_rounds: clusters exchange after every so many rounds (E).
    """

    sends_anew: ClassVar[bool] = True

    inner_rounds: Annotated[int, Field(ge=1)] = 5

    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Let every device that is free train, and send to its cluster."""
        closes = self.closing(sim)
        self.take_in_late(sim, round)
        steps = [train_and_send(sim, device, round) for device in idle(sim)]
        yield from self.through(sim, steps, closes)

    def aggregate(self, sim: Simulation, round: int) -> None:
        """Let every device average with its neighbours of the cluster."""
        self.average(sim, round)

    def exchange(self, sim: Simulation, round: int) -> Steps:
        """Let gateways swap what their clusters know, and spread it."""
        if round % self.inner_rounds != 0:
            return
        gateways = sim.plan.gateways
        ends = zip(gateways.src.tolist(), gateways.dst.tolist(), gateways.power_w, strict=True)
        yield everyone(
            sim,
            [
                _cross(sim, round, src, dst, float(power_w))
                for src, dst, power_w in ends
                if sim.alive[src] and sim.alive[dst]
            ],
        )


def _cross(sim: Simulation, round: int, src: int, dst: int, power_w: float) -> Steps:
    """Let one gateway tell another, and that one's cluster, what it knows."""
    payload = sim.learner.exchange_payload(src, dst, round)
    if payload is not None:
        yield from _Flood(sim, round).arrive(sim.send(payload, power_w))


class _Flood:
    """One gateway's knowledge on its way through another cluster."""

    def __init__(self, sim: Simulation, round: int) -> None:
        self._sim, self._round = sim, round
        self._told_by: defaultdict[int, set[int]] = defaultdict(set)  # from when that begins
        self._has_it: set[int] = set()

    def arrive(self, transfer: simpy.Event) -> Steps:
        """Let a device store what comes to it, and pass it on; return when all is through."""
        sim = self._sim
        yield transfer
        delivery = delivery_of(transfer)
        device = delivery.payload.dst
        if not sim.usable(delivery):
            return
        sim.learner.store(device, [delivery])
        if device not in self._has_it and sim.alive[device]:
            self._has_it.add(device)
            yield everyone(sim, map(self.arrive, self._passed_on(device, delivery)))

    def _passed_on(self, device: int, delivery: Delivery) -> list[simpy.Event]:
        """Send to those neighbours that neither tell the device themselves nor hear who did."""
        sim, links = self._sim, self._sim.plan.links
        src = delivery.payload.src
        need_not = self._told_by[device].union([src], links.dst[links.outgoing(src)].tolist())
        transfers = []
        for link in links_to_alive(sim, device):
            dst = int(links.dst[link])
            if dst in need_not:
                continue
            payload = sim.learner.spread_payload(device, dst, self._round, [delivery])
            if payload is not None:
                self._told_by[dst].add(device)
                transfers.append(sim.send(payload, float(links.power_w[link])))
        return transfers
