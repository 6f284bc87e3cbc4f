"""FLASC (Kuo et al. 2024, arXiv 2406.05233): dense local training, sparse communication.

As published: a client downloads the largest weights of the server's adapter, the
rest is zero to it; it trains all of them densely; of its movement it uploads the largest entries.
The server adds the mean of these to its dense adapter. P3's baseline of this name sparsifies the
upload alone, which is `download_density: 1`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, cast

import numpy as np
from pydantic import Field

from cosim.learning.adapter import Adapter, Layout, Mask, Vector
from cosim.learning.methods._budget import at_random, largest
from cosim.learning.methods._clients import Moved, MovedState
from cosim.learning.methods.base import Arrival, Cohort, Coordinates, DeviceState, Update, in_order


@dataclass(frozen=True)
class FlascState(MovedState):
    """What a device holds beside its adapter.

    Attributes:
        chosen: coordinates that its last training chose to send.
        waiting: movement that was not sent, [layout.size]; None without error feedback.
    """

    chosen: Coordinates | None = field(default=None, repr=False)
    waiting: Vector | None = field(default=None, repr=False)


class Flasc(Moved):
    """Trains all of A and B; sends the `density` of them that moved most, and the head.

    Of the n coordinates of A and B exactly ceil(density n) are sent, the largest in magnitude of
    all layers together. A coordinate that was not sent counts as the receiver's own; a server adds
    w_j times the movements that it is sent. Gateways tell the coordinates that are farthest from
    the common start; of the rest others know the start.

    `download_density`: a training begins from the largest of the device's own weights, as many as
    a download would hold, the others zero; its movement is added to the dense adapter. A server,
    whose adapter is dense, broadcasts as many, and a client holds zeros for the rest.
    `error_feedback` (P3, on deltas; off as published): v = movement + memory; the device moves by
    S(v) alone, and v - S(v) waits for the next update.
    """

    density: Annotated[float, Field(gt=0, le=1)] = 0.25
    download_density: Annotated[float, Field(gt=0, le=1)] = 1.0
    error_feedback: bool = False

    def _keys_at(self, density: float) -> dict[str, float]:
        return {"density": density}

    def start_in_common(self, layout: Layout) -> slice:
        return slice(0, layout.size)

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        return FlascState(**vars(super().start(cohort, device)))

    def training(self, cohort: Cohort, state: DeviceState) -> tuple[Adapter, Mask]:
        """Begin from the weights that a download would hold."""
        return Adapter(cohort.layout, self._downloaded(cohort, state), self.scale), state.trainable

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        """Choose what to send of the movement."""
        state = cast(FlascState, state)
        moved = vector - self._downloaded(cohort, state)
        if self.error_feedback and state.waiting is not None:
            moved = moved + state.waiting
        chosen = largest(cohort.layout, moved, self.density)
        waiting = None
        if self.error_feedback:
            vector = state.vector + np.where(chosen, moved, np.float32(0))
            waiting = np.where(chosen, np.float32(0), moved)
        elif self.download_density < 1:
            vector = state.vector + moved
        state = replace(state, chosen=np.flatnonzero(chosen), waiting=waiting)
        return super().trained(cohort, state, vector)

    def sent(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        chosen = cast(FlascState, state).chosen
        if chosen is None:
            return at_random(cohort, self.density, "expected_mask", state.device)
        return chosen.copy()

    def told(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        moved = state.vector - self.background(cohort, state)
        return np.flatnonzero(largest(cohort.layout, moved, self.density))

    def background(self, cohort: Cohort, state: DeviceState) -> Vector:
        return self.first_vector(cohort, state.device)

    def broadcast(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Send the largest weights of the dense adapter, as many as a download holds."""
        at = np.flatnonzero(largest(cohort.layout, state.vector, self.download_density))
        dense = super().broadcast(cohort, state, round)
        return tuple(replace(each, coordinates=at, values=state.vector[at]) for each in dense)

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Take over what arrived; what was not sent is zero, as published."""
        downloads = [_downloading(cohort, arrival) for arrival in in_order(arrivals)]
        return super().adopt(cohort, state, downloads)

    def _downloaded(self, cohort: Cohort, state: DeviceState) -> Vector:
        if self.download_density == 1:
            return state.vector
        held = largest(cohort.layout, state.vector, self.download_density)
        return np.where(held, state.vector, np.float32(0))


def _downloading(cohort: Cohort, arrival: Arrival) -> Arrival:
    """Return an arrival with zeros where nothing was sent."""
    update = arrival.update
    everywhere = np.arange(cohort.layout.size)
    lost = np.setdiff1d(arrival.sent, update.coordinates, assume_unique=True)
    at = np.setdiff1d(everywhere, lost, assume_unique=True)
    filled = replace(update, coordinates=at, values=update.dense(cohort.layout)[at])
    return replace(arrival, update=filled)
