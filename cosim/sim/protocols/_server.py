"""What protocols with a server have in common: who it is, whom it reaches, how both ends send.

A server is a device that holds no data and never trains. It broadcasts what it has aggregated;
clients take that over, train, and send their updates back.
"""

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import simpy

from cosim.boundary import Delivery
from cosim.planning.edge_list import read_edges
from cosim.planning.planners.from_file import FromFile
from cosim.planning.planners.star import Star
from cosim.plugin import kind_of
from cosim.scenario.tree import Scenario
from cosim.sim.protocols._sending import delivery_of, is_received, send
from cosim.sim.protocols.base import Misfit, Protocol
from cosim.sim.simulation import Simulation
from cosim.world.errors import WorldError

IDLE_S = 1.0
"""How long a round lasts in which no client can be asked for anything, so that time goes on and
the network may be planned again [own choice]."""


class WithServer(Protocol):
    """Keys of every protocol with a server.

    Attributes:
        server: the device group that the server is; it has one device. None for the only group of
            `role: base_station`.
        judge: whose models are evaluated: the `server`'s, which is the global model, the
            `clients`' as they stand after their last training, or `all`.
    """

    usual_planner: ClassVar[str] = "star"

    server: str | None = None
    judge: Literal["server", "clients", "all"] = "server"

    def servers(self, scenario: Scenario) -> frozenset[int]:
        """Return the server, alone.

        Raises:
            ValueError: there is none, or it is more than one device.
        """
        return frozenset((_only_device(scenario, self.server, kind_of(self)),))

    def judged(self, sim: Simulation) -> list[int]:
        """Return those of `judge` that take part, ascending."""
        servers = sim.scenario.servers
        if self.judge == "all":
            return sim.alive_devices()
        wanted = self.judge == "server"
        return [device for device in sim.alive_devices() if (device in servers) == wanted]

    def misfits(self, scenario: Scenario) -> Iterator[Misfit]:
        """Yield what keeps everybody from the server, as far as it is known before a run."""
        yield from super().misfits(scenario)
        try:
            (server,) = scenario.servers
        except ValueError as error:
            yield ("protocol", *(["server"] if self.server is not None else [])), str(error)
            return
        if scenario.num_devices == 1:
            yield (
                ("devices",),
                "expected clients beside the server, got one device in all; add a device group",
            )
            return
        learning = scenario.learning
        has_model = not hasattr(learning.pool, "payload_bits")
        if self.judge == "server" and has_model and learning.method.is_personal:
            yield (
                ("protocol", "judge"),
                f"expected clients with method {kind_of(learning.method)!r}, of which a part "
                "never leaves the clients, so that the server knows no whole model, got server",
            )
        planner = scenario.topology.planner
        is_elsewhere = isinstance(planner, Star) and planner.centre not in (None, server)
        if is_elsewhere and planner.centre < scenario.num_devices:
            yield (
                ("topology", "planner", "centre"),
                f"expected the server, device {server}, or nothing, by which it is the centre, got "
                f"{planner.centre}",
            )
        if isinstance(planner, FromFile) and _leaves_out(planner, scenario, server):
            yield (
                ("topology", "planner", "file"),
                f"expected an edge between the server, device {server}, and a client, got none in "
                f"{planner.file}: nobody could send the server anything",
            )

    def at_most_all_clients(self, key: str, scenario: Scenario) -> Iterator[Misfit]:
        """Yield that a number of clients under a key is more than there are."""
        num_clients, wanted = scenario.num_devices - 1, getattr(self, key)
        if num_clients and (wanted or 0) > num_clients:
            yield (
                ("protocol", key),
                f"expected at most {num_clients}, as there are no more devices beside the server, "
                f"got {wanted}; leave it out for all",
            )


def _only_device(scenario: Scenario, name: str | None, protocol: str) -> int:
    groups = scenario.devices
    if name is None:
        found = [i for i, group in enumerate(groups) if group.role == "base_station"]
        if not found:
            raise ValueError(
                f"protocol {protocol} needs a server: expected a device group with `role: "
                "base_station` and `count: 1`, or the name of a group of one device as "
                "`protocol.server`, got neither"
            )
        if len(found) > 1:
            names = ", ".join(repr(groups[i].group) for i in found)
            raise ValueError(
                f"protocol {protocol} has one server: expected `protocol.server` to name one of "
                f"the groups with `role: base_station` ({names}), got no name"
            )
    else:
        found = [i for i, group in enumerate(groups) if group.group == name]
        if not found:
            names = ", ".join(repr(group.group) for group in groups)
            raise ValueError(f"expected the name of a device group ({names}), got {name!r}")
    (index,) = found[:1]
    size = scenario.group_sizes[index]
    if size != 1:
        raise ValueError(
            f"expected one device in the server's group {groups[index].group!r}, got {size}; "
            "write `count: 1` there, and put the others into a group of their own"
        )
    return sum(scenario.group_sizes[:index])


def _leaves_out(planner: FromFile, scenario: Scenario, server: int) -> bool:
    """Return whether the file has no edge of the server; of a file with mistakes, others tell."""
    try:
        edges = read_edges(Path(scenario.data_root) / planner.file, scenario.num_devices)
    except WorldError:
        return False
    return not any(server in pair for pair in edges.pairs)


def server_of(sim: Simulation) -> int:
    """Return the server's number."""
    (server,) = sim.scenario.servers
    return server


def in_reach(sim: Simulation, server: int) -> list[int]:
    """Return the clients that take part and have links to and from the server, ascending.

    There are none while the server takes no part.
    """
    if not sim.alive[server]:
        return []
    links = sim.plan.links
    both = np.intersect1d(links.dst[links.src == server], links.src[links.dst == server])
    reached: list[int] = both[sim.alive[both]].tolist()
    return reached


def broadcast(
    sim: Simulation, server: int, clients: Sequence[int], round: int, *, multicast: bool
) -> dict[int, simpy.Event]:
    """Send what the server has aggregated to some clients that it reaches.

    One transmission to several has the power that the links to them have together, or that of any
    of them where the plan says that the device multicasts.

    Returns:
        Each client's transfer; nothing where there is nothing to send, or nobody to send it to.
    """
    links = sim.plan.links
    power_w = {int(links.dst[link]): float(links.power_w[link]) for link in links.outgoing(server)}
    if not clients:
        return {}
    if not multicast:
        payloads = {c: sim.learner.broadcast_payload(server, c, round) for c in clients}
        return {c: sim.send(each, power_w[c]) for c, each in payloads.items() if each is not None}
    payload = sim.learner.broadcast_payload(server, clients[0], round, clients[1:])
    if payload is None:
        return {}
    powers_w = [power_w[client] for client in clients]
    together_w = max(powers_w) if sim.plan.multicast[server] else sum(powers_w)
    copies = [dataclasses.replace(payload, dst=client) for client in clients]
    return dict(zip(clients, sim.multicast(copies, together_w), strict=True))


def take_over(
    sim: Simulation, client: int, transfer: simpy.Event
) -> Generator[simpy.Event, object, bool]:
    """Let a client wait for a broadcast and adopt what arrives of it.

    Returns:
        Whether anything arrived.
    """
    yield transfer
    delivery = delivery_of(transfer)
    arrived = bool(sim.alive[client]) and sim.usable(delivery)
    if arrived:
        sim.learner.adopt(client, delivery)
    return arrived


def upload(
    sim: Simulation, client: int, server: int, round: int
) -> Generator[simpy.Event, object, Delivery | None]:
    """Let a client send its update to the server.

    Returns:
        The delivery, if the server can use it; None if it was lost or late, if there was nothing to
        send, or if the plan in force has no link to a server that takes part.
    """
    links = sim.plan.links
    found: list[Delivery] = []

    def receive(delivery: Delivery) -> None:
        if is_received(sim, delivery):
            found.append(delivery)

    up = [int(link) for link in links.outgoing(client) if links.dst[link] == server]
    if not up or not sim.alive[server]:
        sim.books.log("unsent", client, f"update of round {round}: no link to the server")
        return None
    yield send(sim, sim.learner.update_payload, client, round, up, receive)
    return found[0] if found else None
