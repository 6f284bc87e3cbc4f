"""Federated learning without rounds: the server merges updates as they come.

FedAsync (Xie, Koyejo and Gupta 2019, arXiv 1903.03934) merges each update x_k that arrives, which
a client has trained from version tau of the model, into the present version t:

    x_{t+1} <- (1 - a) x_t + a x_k,                          a = rate * s(t - tau)

FedBuff (Nguyen et al. 2022, arXiv 2106.06639) collects K updates. Clients send by how much they
have moved, d_k = (where the training ended) - (where it began):

    x_{t+1} <- x_t + rate / K * sum_{k in buffer} s(t - tau_k) d_k

Ages t - tau count versions: an update of the present version has age 0, and s(0) = 1.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import simpy
from pydantic import Field, PrivateAttr

from cosim.boundary import Delivery
from cosim.plugin import kind_of
from cosim.scenario.tree import Scenario
from cosim.sim.protocols._server import (
    IDLE_S,
    WithServer,
    broadcast,
    in_reach,
    server_of,
    take_over,
    upload,
)
from cosim.sim.protocols.base import Misfit, Steps
from cosim.sim.simulation import Simulation

_BUFFER = 10  # K in the experiments of FedBuff's paper
_PATIENCE = 10
"""A round ends once so many times the updates that it is to merge have been lost [own choice]."""

_Returned = tuple[Delivery | None, int]  # None: nothing came of it; the version it was of


class FederatedAsync(WithServer):
    """A server and clients, so many of whom train at a time.

    Whenever a client is through, whatever has become of its update, the server sends the present
    version to another that it reaches and that is idle, at random; a client that this does not
    reach does not train, and is not asked again within a second. Before the first merge there is
    nothing to send, as all start alike.

    Attributes:
        rule: `fedasync`, or `fedbuff`.
        concurrency: how many clients train at a time; None for all.
        rate: alpha of FedAsync, the server's learning rate of FedBuff; None for 0.6 and for 1.
        buffer: K, the updates that FedBuff merges at a time, of whom several may be one client's,
            who may be asked again before it is full; None for 10.
        decay: s, by age D: `constant`, 1; `polynomial`, (1 + D)^-exponent; `hinge`, 1 up to D =
            `hinge_after`, and then 1 / (1 + hinge_slope (D - hinge_after)).
        exponent: of the polynomial; FedBuff's is 0.5, and FedAsync is evaluated with it.
        hinge_after: b of FedAsync's paper, which takes 4.
        hinge_slope: a of FedAsync's paper, which takes 10.
        merges_per_round: a round is over after so many of the server's merges; None for as many as
            `concurrency` with FedAsync, and one buffer with FedBuff. It is over before that where
            many more updates than these are lost, or nobody can be asked for any.
    """

    rule: Literal["fedasync", "fedbuff"] = "fedasync"
    concurrency: Annotated[int, Field(ge=1)] | None = None
    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    buffer: Annotated[int, Field(ge=1)] | None = None
    decay: Literal["constant", "polynomial", "hinge"] = "polynomial"
    exponent: Annotated[float, Field(ge=0)] = 0.5
    hinge_after: Annotated[int, Field(ge=0)] = 4
    hinge_slope: Annotated[float, Field(ge=0)] = 10.0
    merges_per_round: Annotated[int, Field(ge=1)] | None = None

    _version: int = PrivateAttr(default=0)
    _at_work: set[int] = PrivateAttr(default_factory=set)
    _asked_s: dict[int, float] = PrivateAttr(default_factory=dict)  # when each was asked last
    _missed: set[int] = PrivateAttr(default_factory=set)  # whom the last version did not reach
    _num_asked: int = PrivateAttr(default=0)
    _returned: deque[_Returned] = PrivateAttr(default_factory=deque)
    _waiting: simpy.Event | None = PrivateAttr(default=None)
    _buffer: list[tuple[Delivery, int]] = PrivateAttr(default_factory=list)

    @property
    def sends_movements(self) -> bool:
        return self.rule == "fedbuff"

    def misfits(self, scenario: Scenario) -> Iterator[Misfit]:
        yield from super().misfits(scenario)
        yield from self.at_most_all_clients("concurrency", scenario)
        if self.buffer is not None and self.rule == "fedasync":
            yield (
                ("protocol", "buffer"),
                "expected none with rule: fedasync, which merges each update as it comes, got "
                f"{self.buffer}; leave it out, or use rule: fedbuff",
            )
        learning = scenario.learning
        has_model = not hasattr(learning.pool, "payload_bits")
        if self.sends_movements and has_model and learning.method.movements == "neither":
            yield (
                ("protocol", "rule"),
                "expected fedasync, or a method whose server adds up how far clients have moved, "
                "such as lora, ffa_lora or soft, got fedbuff and "
                f"{kind_of(learning.method)!r} with these keys",
            )

    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Keep clients at work, and merge what they return, until the round is over."""
        server = server_of(sim)
        merges, most_lost = self._merges_per_round(sim), self._most_lost(sim)
        num_merges = num_lost = 0
        while num_merges < merges and num_lost < most_lost:
            self._ask(sim, server, round)
            if not self._returned:
                if not self._at_work:
                    yield sim.env.timeout(IDLE_S)
                    return
                self._waiting = sim.env.event()
                yield self._waiting
            delivery, version = self._returned.popleft()
            if delivery is None or not sim.alive[server]:
                num_lost += 1
            elif self._take_in(sim, server, delivery, version):
                num_merges += 1

    def _merges_per_round(self, sim: Simulation) -> int:
        if self.merges_per_round is not None:
            return self.merges_per_round
        return 1 if self.rule == "fedbuff" else self._concurrency(sim)

    def _most_lost(self, sim: Simulation) -> int:
        return _PATIENCE * self._updates_per_merge * self._merges_per_round(sim)

    @property
    def _updates_per_merge(self) -> int:
        if self.rule == "fedasync":
            return 1
        return _BUFFER if self.buffer is None else self.buffer

    def _concurrency(self, sim: Simulation) -> int:
        return len(sim.groups) - 1 if self.concurrency is None else self.concurrency

    # The server asks, and a client works

    def _ask(self, sim: Simulation, server: int, round: int) -> None:
        """Send the present version to idle clients until enough are at work.

        Who is asked goes by how many were asked before.
        """
        free = self._concurrency(sim) - len(self._at_work)
        idle = self._idle(sim, server) if free > 0 else []
        drawn = sim.draws.uniform("client_choice", self._num_asked, np.array(idle, dtype=np.int64))
        for place in np.argsort(drawn, kind="stable")[: max(free, 0)]:
            client = idle[place]
            self._num_asked += 1
            self._at_work.add(client)
            self._asked_s[client] = sim.now_s
            sim.env.process(self._client(sim, client, server, round))

    def _idle(self, sim: Simulation, server: int) -> list[int]:
        """Return the clients that can be asked, ascending: none twice at one instant."""
        at_work, asked_s, now_s = self._at_work, self._asked_s, sim.now_s

        def may_be_asked(client: int) -> bool:
            since_s = now_s - asked_s.get(client, -math.inf)
            return since_s > 0.0 and (client not in self._missed or since_s >= IDLE_S)

        reached = in_reach(sim, server)
        found = [client for client in reached if client not in at_work and may_be_asked(client)]
        if self._version == 0:  # who has trained cannot be sent the common start again
            found = [client for client in found if client not in asked_s] or found
        return found

    def _client(self, sim: Simulation, client: int, server: int, round: int) -> Steps:
        version, delivery, is_asked = self._version, None, True
        transfer = broadcast(sim, server, [client], round, multicast=False).get(client)
        if transfer is not None:
            is_asked = yield from take_over(sim, client, transfer)
        (self._missed.discard if is_asked else self._missed.add)(client)
        if is_asked and sim.alive[client]:
            finished = yield from sim.train(client, round)
            if finished:
                delivery = yield from upload(sim, client, server, round)
        self._at_work.discard(client)
        self._returned.append((delivery, version))
        if self._waiting is not None and not self._waiting.triggered:
            self._waiting.succeed()

    # The server merges

    def _take_in(self, sim: Simulation, server: int, delivery: Delivery, version: int) -> bool:
        """Merge an update, or keep it until the buffer is full; return whether it has merged."""
        self._buffer.append((delivery, version))
        if len(self._buffer) < self._updates_per_merge:
            return False
        deliveries = [each for each, _ in self._buffer]
        ages = [self._version - each for _, each in self._buffer]
        weights = [self.weight(age) for age in ages]
        self._buffer.clear()
        sim.merge(server, deliveries, weights, ages)
        self._version += 1
        return True

    def weight(self, age: int) -> float:
        """Return the weight of an update that is so many versions old."""
        if self.rule == "fedbuff":
            rate = 1.0 if self.rate is None else self.rate
            return rate / self._updates_per_merge * self._decayed(age)
        return (0.6 if self.rate is None else self.rate) * self._decayed(age)

    def _decayed(self, age: int) -> float:
        """Return s(age)."""
        if self.decay == "constant":
            return 1.0
        if self.decay == "polynomial":
            return math.pow(1.0 + age, -self.exponent)
        return 1.0 / (1.0 + self.hinge_slope * max(age - self.hinge_after, 0))
