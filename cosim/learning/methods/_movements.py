"""Averaging where each device sends some coordinates only: what is averaged is how far they moved.

A coordinate that a device does not send is one that it has not moved. So an aggregate is

    x = base + w_ii (own - base) + sum_j w_ij (x_j - base), over what each sent,

with `base` what the device had after its last merge, as a server's clients have its broadcast. What
is sent are values, not differences: where the bases are the same, as in a clique, it is the same,
and where they differ it pulls them together; a second copy does no harm. A server is sent
differences (`cosim.learning.methods._clients`).
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Mask, Vector
from cosim.learning.methods._clients import as_sent, as_values
from cosim.learning.methods._one_adapter import OneAdapter
from cosim.learning.methods.base import Arrival, Cohort, Coordinates, DeviceState, Parts, Update


@dataclass(frozen=True)
class SentState(DeviceState):
    """A device that sends a part of what it has learned.

    Attributes:
        base: what it had after its last merge; of a server's client, when its last training began,
            [layout.size].
        memory: what it has learned before that and not sent yet, [layout.size].
        merged_at: how many trainings it had done then.
        to_send: the coordinates that its last training chose to send.
    """

    base: Vector = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    memory: Vector = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    merged_at: int = 0
    to_send: Mask | None = field(default=None, repr=False)


def average(base: Vector, own: Vector, own_weight: float, arrivals: Sequence[Arrival]) -> Vector:
    """Return base + the weighted sum of movements; a lost coordinate counts as the device's own.

    Args:
        base: what movements are counted from, [n].
        own: what the device itself has sent: its base where it has sent nothing, [n].
        own_weight: 1 less the arrivals' weights.
        arrivals: what arrived.
    """
    moved = own.astype(np.float64) - base
    total = own_weight * moved
    for each in arrivals:
        at = each.update.coordinates
        lost = np.setdiff1d(each.sent, at, assume_unique=True)
        total[at] += each.weight * (each.update.values.astype(np.float64) - base[at])
        total[lost] += each.weight * moved[lost]
    mean: Vector = (base + total).astype(np.float32)
    return mean


class Sparsified(OneAdapter):
    """Trains A and B, and sends a part of the coordinates; the head, if any, is always sent."""

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "sends"

    @abstractmethod
    def part_of(self, cohort: Cohort, state: SentState, moved: Vector) -> Mask:
        """Return the coordinates to send of a movement after the device's last training."""

    @abstractmethod
    def likely(self, cohort: Cohort, state: SentState) -> Mask:
        """Return the coordinates of the next update, or as many as it will have."""

    def wanted(self, state: SentState) -> Vector:
        """Return what the device would send if it could send all."""
        return state.vector

    def counted_from(self, state: SentState) -> Vector:
        """Return the values that coordinates have for others when they are not sent."""
        return state.base

    def chosen(self, cohort: Cohort, state: SentState) -> Mask:
        """Return the coordinates that the device sends after its last training."""
        if state.to_send is not None and state.trainings > state.merged_at:
            return state.to_send
        return self.part_of(cohort, state, self.wanted(state) - self.counted_from(state))

    def told(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        """Return a part, likewise, of how far the cluster has moved from the common start."""
        if not state.trainings:
            return self.shared(cohort.layout)
        moved = state.vector - self.first_vector(cohort, state.device)
        return np.flatnonzero(self.part_of(cohort, _sent_state(state), moved))

    def background(self, cohort: Cohort, state: DeviceState) -> Vector:
        """Return the common start: what another cluster does not send has not moved."""
        return self.first_vector(cohort, state.device)

    def after_sending(self, state: SentState, sent: Vector) -> SentState:
        """Return the state with the memory of what was not sent; `sent` as in `average`."""
        return state

    def start_in_common(self, layout: Layout) -> slice:
        return slice(0, layout.size)

    def start(self, cohort: Cohort, device: int) -> SentState:
        state = super().start(cohort, device)
        memory = np.zeros_like(state.vector)
        return SentState(
            device, state.vector, state.trainable, state.members, base=state.vector, memory=memory
        )

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        """Take over what was trained; a client has sent the training before, and counts from it."""
        if cohort.servers:
            held, _ = self._after_last(cohort, _sent_state(state))
            state = replace(held, base=state.vector)
        after = replace(_sent_state(super().trained(cohort, state, vector)), to_send=None)
        return replace(after, to_send=self.chosen(cohort, after))

    def update(self, cohort: Cohort, state: DeviceState, round: int) -> Update | None:
        if not state.trainings:
            return None
        held = _sent_state(state)
        at = np.flatnonzero(self.chosen(cohort, held))
        update = Update((state.device,), round, at, self.wanted(held)[at])
        return as_sent(cohort, update, self.counted_from(held))

    def expected(self, cohort: Cohort, state: DeviceState) -> Coordinates:
        return np.flatnonzero(self.likely(cohort, _sent_state(state)))

    def merged(
        self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival], own_weight: float
    ) -> DeviceState:
        """Average movements; of the device's own training counts what it has sent."""
        base = self.counted_from(_sent_state(state))
        held, own = self._after_last(cohort, _sent_state(state))
        arrivals = as_values(cohort, state, arrivals, base)
        vector = average(base, own, own_weight, arrivals)
        return replace(held, vector=vector, base=vector, merged_at=held.trainings)

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        held, _ = self._after_last(cohort, _sent_state(state))
        adopted = _sent_state(super().adopt(cohort, held, arrivals))
        return replace(adopted, base=adopted.vector, merged_at=held.trainings)

    def _after_last(self, cohort: Cohort, held: SentState) -> tuple[SentState, Vector]:
        """Return the state with what its last training has left unsent, and what it has sent."""
        if held.trainings == held.merged_at:
            return held, held.vector
        base = self.counted_from(held)
        own = np.where(self.chosen(cohort, held), self.wanted(held), base)
        return self.after_sending(held, own), own

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        """Return each one's base with what it has sent in its place, the own one's too."""
        base = self.counted_from(_sent_state(state))
        _, own = self._after_last(cohort, _sent_state(state))
        vectors = []
        for arrival in as_values(cohort, state, arrivals, base):
            vector = base.copy()
            vector[arrival.sent] = own[arrival.sent]
            vector[arrival.update.coordinates] = arrival.update.values
            vectors.append((vector, arrival.weight))
        own_weight = max(0.0, 1.0 - sum(weight for _, weight in vectors))
        vectors.insert(0, (own, own_weight))
        return tuple((Adapter(cohort.layout, vector, self.scale), w) for vector, w in vectors)

    def alone(self, state: DeviceState) -> DeviceState:
        """Keep the training as it is; what comes next is counted from here."""
        return replace(_sent_state(state), base=state.vector, merged_at=state.trainings)


def _sent_state(state: DeviceState) -> SentState:
    """Return a state of these methods as what it is."""
    assert isinstance(state, SentState)
    return state
