"""What clients send their server where they send a part: how far each coordinate has moved.

    x <- x + sum_k w_k S(v_k)                                                       P3

A client counts v_k from what it really had when its training began. That is not what the server has
where the client has missed a broadcast, or lost coordinates of it: there a value would pull the
server back to what it had long ago, and what is remembered as not sent would not be what the server
lacks. Devices without a server send each other values (`cosim.learning.methods._movements`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import numpy as np

from cosim.learning.adapter import Vector
from cosim.learning.methods._average import Averaged
from cosim.learning.methods.base import Arrival, Cohort, DeviceState, Parts, Update


def as_sent(cohort: Cohort, update: Update, base: Vector) -> Update:
    """Return a device's update as it is sent: to a server, how far it has moved from `base`."""
    if not cohort.servers:
        return update
    return replace(update, values=update.values - base[update.coordinates])


def as_values(
    cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival], base: Vector
) -> Sequence[Arrival]:
    """Return what arrived as values: what a server gets moves on from its own `base`."""
    if state.device not in cohort.servers:
        return arrivals
    updates = [arrival.update for arrival in arrivals]
    moved = [replace(u, values=base[u.coordinates] + u.values) for u in updates]
    return [replace(a, update=u) for a, u in zip(arrivals, moved, strict=True)]


@dataclass(frozen=True)
class MovedState(DeviceState):
    """A device that may be a server's client.

    Attributes:
        base: what it had when its last training began, [layout.size]; empty without a server.
    """

    base: Vector = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)


class Moved(Averaged):
    """Sends a part of the coordinates; a server adds up how far they have moved.

    What a server's broadcast replaces and the client has not sent is lost, as in P3.
    """

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "sends"

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        return MovedState(**vars(super().start(cohort, device)))

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        if cohort.servers:
            state = replace(cast(MovedState, state), base=state.vector)
        return super().trained(cohort, state, vector)

    def update(self, cohort: Cohort, state: DeviceState, round: int) -> Update | None:
        update = super().update(cohort, state, round)
        if update is None or self.movements != "sends":
            return update
        return as_sent(cohort, update, cast(MovedState, state).base)

    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        return super().merge(cohort, state, self._values(cohort, state, arrivals))

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        return super().parts(cohort, state, self._values(cohort, state, arrivals))

    def _values(
        self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]
    ) -> Sequence[Arrival]:
        if self.movements != "sends":
            return arrivals
        return as_values(cohort, state, arrivals, state.vector)
