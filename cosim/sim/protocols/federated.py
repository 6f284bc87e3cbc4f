"""Federated learning in synchronous rounds (McMahan et al. 2017, arXiv 1602.05629, FedAvg).

    server:  S_t <- clients_per_round of the clients that it reaches, at random
             send x_t to all of S_t
    client:  x_k <- x_t, train for the local steps, send x_k to the server
    server:  x_{t+1} <- x_t + sum_{k arrived} w_k (x_k - x_t),   w_k = n_k / sum n, or 1 / K

How x is averaged, coordinate by coordinate or otherwise, is the method's business. In the first
round there is nothing to send: all start alike.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
import simpy
from pydantic import Field, PrivateAttr

from cosim.boundary import Delivery
from cosim.scenario.tree import Scenario
from cosim.sim.protocols._rounds import Synchronous, everyone
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


class Federated(WithServer, Synchronous):
    """A server and clients, some of whom take part in each round.

    Only who has a link to and from the server in the plan in force is sampled, and is not at work
    for an earlier round. The sample goes by round and device alone, so that methods that are
    compared have the same one. A client that a broadcast does not reach trains from what it has.

    A late update that is not dropped has the weight that it would have had in time, lowered by
    `staleness`; what the weights then lack to 1 is the server's own model's.

    Attributes:
        clients_per_round: how many are sampled, or all that there are if these are fewer; None for
            all in every round.
        weights: of the updates that arrived: by `samples`, each client's number of training
            examples, or `equal`.
        downlink: the broadcast is one transmission to all that are sampled (`multicast`), as fast
            as the slowest of them, or one to each (`unicast`), which share the band.
    """

    clients_per_round: Annotated[int, Field(ge=1)] | None = None
    weights: Literal["samples", "equal"] = "samples"
    downlink: Literal["multicast", "unicast"] = "multicast"

    _at_work: set[int] = PrivateAttr(default_factory=set)

    def misfits(self, scenario: Scenario) -> Iterator[Misfit]:
        yield from super().misfits(scenario)
        yield from self.at_most_all_clients("clients_per_round", scenario)

    def control(self, sim: Simulation, round: int) -> None:
        """Nothing yet: the controller is shown who is sampled, and their links to the server."""

    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Sample clients, send them the model, let them train and answer; wait for them."""
        server, closes = server_of(sim), self.closing(sim)
        sampled = self.sample(sim, round)
        if not sampled:
            yield from self._wait_for_clients(sim, closes)
            return
        links = sim.plan.links
        uplinks = (links.dst == server) & np.isin(links.src, sampled)
        sim.control(round, sampled, np.flatnonzero(uplinks))
        self._at_work.update(sampled)
        transfers = broadcast(sim, server, sampled, round, multicast=self.downlink == "multicast")
        clients = [self._client(sim, each, server, round, transfers.get(each)) for each in sampled]
        yield everyone(sim, clients) | closes

    def sample(self, sim: Simulation, round: int) -> list[int]:
        """Return the clients of a round, ascending."""
        free = [each for each in in_reach(sim, server_of(sim)) if each not in self._at_work]
        drawn = sim.draws.uniform("client_sample", round, np.array(free, dtype=np.int64))
        order = np.argsort(drawn, kind="stable")[: self.clients_per_round]
        return sorted(free[place] for place in order)

    def _client(
        self,
        sim: Simulation,
        client: int,
        server: int,
        round: int,
        transfer: simpy.Event | None,
    ) -> Steps:
        if transfer is not None:
            yield from take_over(sim, client, transfer)
        if sim.alive[client]:
            finished = yield from sim.train(client, round)
            if finished:
                arrived = yield from upload(sim, client, server, round)
                if arrived is not None:
                    sim.inbox[server].append(arrived)
        self._at_work.discard(client)

    def _wait_for_clients(self, sim: Simulation, closes: simpy.Event) -> Steps:
        """Let time pass in a round without clients, unless the next waits for its interval."""
        if self.round_deadline_s is not None:
            yield closes
        elif self.round_interval_s is None:
            yield sim.env.timeout(IDLE_S)

    def aggregate(self, sim: Simulation, round: int) -> None:
        """Let the server average what has arrived."""
        server = server_of(sim)
        arrived = self.in_time(sim, server, round)
        if arrived and sim.alive[server]:
            self.merge(sim, server, round, arrived, self._shares(sim, arrived))

    def _shares(self, sim: Simulation, arrived: Sequence[Delivery]) -> list[float]:
        """Return the weight of each update, of sum 1."""
        sizes = [sim.learner.num_examples(delivery.payload.src) for delivery in arrived]
        if self.weights == "equal" or sum(sizes) == 0:
            return [1 / len(arrived)] * len(arrived)
        return [size / sum(sizes) for size in sizes]
