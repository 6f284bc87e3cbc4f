"""Sending over the links of the plan and taking in what arrives: what protocols are made of.

Nothing here asks which protocol it serves: which payload goes out is given as a function, and so is
what becomes of what arrives.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import simpy

from cosim.boundary import Delivery, Payload
from cosim.sim.simulation import Simulation

PayloadOf = Callable[[int, int, int, Sequence[int]], Payload | None]
"""Makes a payload: from whom, to whom, of which round, and who else can read the same bytes.

`Learner.update_payload` is one, and `Learner.broadcast_payload`.
"""

Receive = Callable[[Delivery], None]


def links_to_alive(sim: Simulation, device: int) -> list[int]:
    """Return the positions of a device's links in the plan, to devices that take part."""
    links = sim.plan.links
    return [int(link) for link in links.outgoing(device) if sim.alive[links.dst[link]]]


def send(
    sim: Simulation,
    payload_of: PayloadOf,
    device: int,
    round: int,
    links: Sequence[int],
    receive: Receive,
) -> simpy.Event:
    """Send over some of a device's links, and have each receiver take in what arrives.

    It is one transmission to all of them if the plan says so of this device.

    Args:
        sim: the run.
        payload_of: makes what is sent; where it makes nothing, nothing is.
        device: who sends.
        round: what the payloads belong to.
        links: positions in the plan's links, all of this device.
        receive: called with each delivery when its transfer ends, whatever its outcome.

    Returns:
        The event that all transfers have ended.
    """
    planned = sim.plan.links
    ends = [(int(planned.dst[link]), float(planned.power_w[link])) for link in links]
    transfers: list[simpy.Event] = []
    if ends and sim.plan.multicast[device]:
        (first, power_w), *others = ends
        payload = payload_of(device, first, round, [dst for dst, _ in others])
        if payload is not None:
            payloads = [dataclasses.replace(payload, dst=dst) for dst, _ in ends]
            transfers.extend(sim.multicast(payloads, power_w))
    else:
        for dst, power_w in ends:
            payload = payload_of(device, dst, round, ())
            if payload is not None:
                transfers.append(sim.send(payload, power_w))
    for transfer in transfers:
        assert transfer.callbacks is not None  # no event that starts now has been handled yet
        transfer.callbacks.append(lambda ended: receive(delivery_of(ended)))
    return sim.env.all_of(transfers)


def delivery_of(transfer: simpy.Event) -> Delivery:
    """Return what became of a transfer that has ended."""
    delivery = transfer.value
    assert isinstance(delivery, Delivery)
    return delivery


def is_received(sim: Simulation, delivery: Delivery) -> bool:
    """Return whether its receiver can use what arrived; an update that expired is noted as late."""
    if delivery.outcome == "expired":
        sim.books.late(delivery, "transfer expired")
    return sim.usable(delivery)


def newest(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Return the newest delivery of each sender, by sender.

    That is the one of the latest round, and of one round the last to arrive. A late one may come
    after its successor, as the two share the band.
    """
    found: dict[int, Delivery] = {}
    for delivery in deliveries:
        src = delivery.payload.src
        if src not in found or found[src].payload.round <= delivery.payload.round:
            found[src] = delivery
    return [found[src] for src in sorted(found)]
