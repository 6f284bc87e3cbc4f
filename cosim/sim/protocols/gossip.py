"""Asynchronous gossip: each device trains, tells some neighbours, and waits for nobody.

    loop on device i                          on arrival of x_j at device i
      x_i <- local training of x_i              x_i <- (1 - w) x_i + w x_j
      send x_i to `fanout` neighbours           w = mixing (1 + staleness)^(-staleness_exponent)

A device that is in the middle of a training merges too; the training's movement is then added to
what it has merged, as in asynchronous decentralised SGD (Lian et al., Asynchronous decentralized
parallel stochastic gradient descent, ICML 2018), which reads the model before and writes after. It
is a push: the receiver changes and the sender does not, so the mean over the devices is not kept.

Staleness is told by the age of models (Ormandi, Hegedus and Jelasity, Gossip learning with linear
models on fully distributed data, 2013; Hegedus, Danner and Jelasity, Decentralized learning works,
2021): a training makes a model one older, and a merge makes it as old as the older of the two. The
staleness of an update is by how much it is younger than what it meets, 0 at least: of two devices
that were equally old, how often the receiver has trained while it was on its way. The weight is the
polynomial one of FedAsync (Xie, Koyejo and Gupta, Asynchronous federated optimization, 2019).
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import simpy
from pydantic import Field, PrivateAttr

from cosim.boundary import Delivery
from cosim.sim.protocols._sending import is_received, links_to_alive, send
from cosim.sim.protocols.base import Protocol, Steps
from cosim.sim.simulation import Simulation


class Gossip(Protocol):
    """No barriers: every device in a loop of its own.

    A round is a stretch in which as many trainings end as devices take part. When it ends there may
    be a new plan, which holds from each device's next sending on, and an evaluation. The round of
    an update, and of the training behind it, is in all tables the age of the model; each of a
    device's trainings has another.

    A device without neighbours trains on alone; one that enters begins at once, and has neighbours
    when a plan gives it some.

    Attributes:
        fanout: how many neighbours an update goes to, drawn anew for each update, or all of them
            where there are fewer; or `all`.
        mixing: weight of an update that is not stale.
        staleness_exponent: how fast the weight falls with staleness; at 0 it does not.
        busy: what a device does that has trained again while its last update is still on its way:
            `skip` this one and train on, `wait` until the last is through, or `send` it beside it.
    """

    usual_planner: ClassVar[str] = "k_nearest"

    fanout: Annotated[int, Field(ge=1)] | Literal["all"] = 1
    mixing: Annotated[float, Field(gt=0, le=1)] = 0.5
    staleness_exponent: Annotated[float, Field(ge=0, le=10)] = 0.5
    busy: Literal["skip", "wait", "send"] = "skip"

    _age: Counter[int] = PrivateAttr(default_factory=Counter)  # of each device's model
    _num_trained: Counter[int] = PrivateAttr(default_factory=Counter)
    _living: set[int] = PrivateAttr(default_factory=set)  # devices whose loop has begun
    _over: simpy.Event | None = PrivateAttr(default=None)  # the round

    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Let devices go on until as many trainings have ended as devices take part."""
        if self._over is None:
            sim.env.process(self._welcome(sim))
        self._over = sim.env.event()
        yield self._over

    def _welcome(self, sim: Simulation) -> Steps:
        """Start the loop of every device when it enters."""
        while True:
            for device in sim.alive_devices():
                if device not in self._living:
                    self._living.add(device)
                    sim.env.process(self._live(sim, device))
            if sim.next_entry_s == np.inf:
                return
            yield sim.env.timeout(sim.next_entry_s - sim.now_s)

    def _live(self, sim: Simulation, device: int) -> Steps:
        """The loop of one device, until it leaves."""
        on_its_way: simpy.Event | None = None
        while sim.alive[device]:
            finished = yield from sim.train(device, self._age[device] + 1)
            self._age[device] += finished
            self._num_trained[device] += finished
            self._end_round(sim)
            if on_its_way is not None and not on_its_way.processed:
                if self.busy == "skip":
                    continue
                if self.busy == "wait":
                    yield on_its_way
            if sim.alive[device]:
                on_its_way = self._send(sim, device)
        self._end_round(sim)

    def _end_round(self, sim: Simulation) -> None:
        """End the round if enough trainings have, or so many devices have left that they have."""
        assert self._over is not None
        if not self._over.triggered and sim.books.num_trainings >= sim.alive.sum():
            self._over.succeed()

    def _send(self, sim: Simulation, device: int) -> simpy.Event:
        """Send the device's model to those it draws; the event is when all have it."""
        links = self._drawn(sim, device, links_to_alive(sim, device))
        make = sim.learner.update_payload
        return send(sim, make, device, self._age[device], links, partial(self._merge, sim))

    def _drawn(self, sim: Simulation, device: int, links: Sequence[int]) -> Sequence[int]:
        """Return `fanout` of a device's links, each as likely as any."""
        if self.fanout == "all" or len(links) <= self.fanout:
            return links
        neighbours = sim.plan.links.dst[list(links)]
        lots = sim.draws.uniform("gossip", device, neighbours, self._num_trained[device])
        return [links[place] for place in np.sort(np.argsort(lots)[: self.fanout])]

    def _merge(self, sim: Simulation, delivery: Delivery) -> None:
        """Let a receiver merge what arrives, whatever it is doing."""
        device, age = delivery.payload.dst, delivery.payload.round
        if not is_received(sim, delivery) or not sim.alive[device]:
            return
        staleness = max(self._age[device] - age, 0)
        weight = self.mixing * (1 + staleness) ** -self.staleness_exponent
        sim.merge(device, [delivery], [weight], [staleness])
        self._age[device] = max(self._age[device], age)
