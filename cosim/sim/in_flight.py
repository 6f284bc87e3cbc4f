"""What a new plan does to what is on the air, where `topology.in_flight` is not `finish`.

The plan is in force the instant it is made, in the middle of a round too. A transfer goes on if the
new plan has its link, at the power that it began with; else it ends there as `aborted`:

- an update, or what a server sends its clients, needs a link inside a cluster;
- an exchange needs that, or a link between gateways;
- anything else, such as background traffic, is of no plan and goes on.

Whoever sends from then on does so over the new links. With `migrate`, whoever has sent its update
in the round that is open, and is not training, at once sends it to those new neighbours that have
not been sent it yet, or to whom it was aborted; the round waits for these as for the others.

When the round closes, updates have the weights of the plan that is in force then: what came over a
link that is gone has none and is left out, and where a neighbour's update has not come, a device's
own model stands in for it.
"""

from collections.abc import Callable, Container

import simpy

from cosim.boundary import Payload
from cosim.planning.view import Links, Plan


def lacks_link(plan: Plan) -> Callable[[Payload], bool]:
    """Return what tells whether a payload is of a kind that goes over links, and has none."""
    inside = _ends(plan.links)
    either = inside | _ends(plan.gateways)
    over = {"update": inside, "broadcast": inside, "exchange": either}

    def lacks(payload: Payload) -> bool:
        return payload.kind in over and (payload.src, payload.dst) not in over[payload.kind]

    return lacks


def _ends(links: Links) -> set[tuple[int, int]]:
    return set(zip(links.src.tolist(), links.dst.tolist(), strict=True))


class SentAnew:
    """What a round that is open must wait for besides what its devices began themselves."""

    def __init__(self) -> None:
        self._is_open = False
        self._offers: dict[int, Callable[[], simpy.Event | None]] = {}
        self._events: list[simpy.Event] = []

    def open(self) -> None:
        """A round, or a step of it in which all send, begins."""
        self._is_open = True

    def close(self) -> None:
        """It is over: what was sent in it is not sent again."""
        self._is_open = False
        self._offers.clear()
        self._events.clear()

    def offer(self, device: int, send: Callable[[], simpy.Event | None]) -> None:
        """Say how a device that has sent its update sends it to neighbours that lack it.

        Args:
            device: which.
            send: starts that; returns the event that all have it, or None if nobody lacks it.
        """
        if self._is_open:
            self._offers[device] = send

    def send(self, devices: Container[int]) -> list[int]:
        """Let those of some devices that have sent their update send it anew; return who does."""
        found = []
        for device in sorted(self._offers):
            event = self._offers[device]() if device in devices else None
            if event is not None:
                self._events.append(event)
                found.append(device)
        return found

    def take(self) -> list[simpy.Event]:
        """Return what was begun since the last time that this was asked."""
        events, self._events = self._events, []
        return events
