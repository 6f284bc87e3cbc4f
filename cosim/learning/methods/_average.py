"""What methods share whose factors are averaged inside a cluster, coordinate by coordinate.

    x_i <- x_i + sum_j w_ij (x_j - x_i)                     P1 (8)/(9), with the resolved sign

The own weight is 1 less the others', so the same rule serves a device among neighbours and a
server, which has not trained and gives all weight to what arrived. What a method trains, sends,
and tells other clusters differs; averaging, storing and answering are the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Vector, concatenate
from cosim.learning.methods._draw import kaiming_a
from cosim.learning.methods.base import (
    Arrival,
    Cohort,
    Coordinates,
    DeviceState,
    Expert,
    Method,
    Parts,
    Update,
    forget,
    in_order,
    merged_members,
)


def average(own: Vector, arrivals: Sequence[Arrival]) -> Vector:
    """Return own + sum_j w_j (x_j - own) over the coordinates of each that arrived.

    A coordinate that was lost, or never sent, counts as the device's own.
    """
    start = own.astype(np.float64)
    mean = start.copy()
    for arrival in in_order(arrivals):
        at = arrival.update.coordinates
        mean[at] += arrival.weight * (arrival.update.values - start[at])
    return mean.astype(np.float32)


def mean_adapter(experts: Sequence[Expert]) -> Adapter:
    """Return the mean of adapters by their numbers of members, as one of the same rank.

    Where all have one A, or all have one B, its product is the mean of the products.
    """
    first = experts[0].adapter
    total = sum(len(expert.members) for expert in experts)
    mean = np.zeros(first.layout.size)
    for expert in experts:
        mean += len(expert.members) / total * expert.adapter.vector
    return Adapter(first.layout, mean.astype(np.float32), first.scale)


class Averaged(Method):
    """Trains, sends and averages all of A, B and the head; what differs is for a method to say.

    A server sends all that is shared, in the name of all whose updates it merged last.
    """

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "adds"

    def start_misfit(self) -> str | None:
        return None

    def scope(self, layout: Layout) -> slice:
        return slice(0, layout.size)

    def first_a(self, cohort: Cohort, device: int) -> Vector:
        """Return the A that a device starts with, flat [size_a]: one for all."""
        return kaiming_a(cohort, None)

    def shared(self, layout: Layout) -> Coordinates:
        """Return all coordinates that are ever sent and averaged, ascending."""
        return np.arange(layout.size, dtype=np.int64)

    def sent(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        """Return the coordinates of the update after a training, ascending."""
        return self.shared(cohort.layout)

    def told(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        """Return the coordinates of what a gateway sends to another cluster, ascending."""
        return self.shared(cohort.layout)

    def background(self, cohort: Cohort, state: DeviceState) -> Vector:
        """Return what a stored adapter is where nothing of it has arrived, [layout.size]."""
        return np.zeros(cohort.layout.size, dtype=np.float32)

    def mixed(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Vector:
        """Return the device's vector after averaging, [layout.size]."""
        return average(state.vector, arrivals)

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        layout = cohort.layout
        trainable = np.zeros(layout.size, dtype=np.bool_)
        trainable[self.scope(layout)] = True
        return DeviceState(device, self.first_vector(cohort, device), trainable, (device,))

    def first_vector(self, cohort: Cohort, device: int) -> Vector:
        """Return the vector that a device is given, or else its A, B zero, the head as loaded."""
        if cohort.starts:
            return cohort.starts[device]
        vector = np.zeros(cohort.layout.size, dtype=np.float32)
        vector[cohort.layout.part_a] = self.first_a(cohort, device)
        return vector

    def update(self, cohort: Cohort, state: DeviceState, round: int) -> Update | None:
        if not state.trainings:
            return None
        at = self.sent(cohort, state, round)
        return Update((state.device,), round, at, state.vector[at])

    def expected(self, cohort: Cohort, state: DeviceState) -> Coordinates:
        return self.sent(cohort, state, 0)

    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Average what is shared, coordinate by coordinate."""
        members = merged_members(state, arrivals)
        vector = self.mixed(cohort, state, arrivals)
        known = forget(state.known, members)
        return replace(state, vector=vector, members=members, known=known)

    def broadcast(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        if len(state.members) == 1:
            return ()
        at = self.shared(cohort.layout)
        return (Update(state.members, round, at, state.vector[at]),)

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        arrivals = in_order(arrivals)
        if not arrivals:
            return state
        members = merged_members(state, arrivals)
        vector = state.vector.copy()
        for arrival in arrivals:
            vector[arrival.update.coordinates] = arrival.update.values
        return replace(state, vector=vector, members=members, known=forget(state.known, members))

    def counted(self, cohort: Cohort, state: DeviceState, arrival: Arrival) -> Vector:
        """Return an arrival as the adapter that it counts as in a merge, [layout.size]."""
        vector = state.vector.copy()
        vector[arrival.update.coordinates] = arrival.update.values
        return vector

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        counted = [arrival for arrival in in_order(arrivals) if arrival.weight > 0]
        own_weight = max(0.0, 1.0 - sum(arrival.weight for arrival in counted))
        vectors = [(state.vector, own_weight)]
        vectors += [(self.counted(cohort, state, each), each.weight) for each in counted]
        return tuple((Adapter(cohort.layout, vector, self.scale), w) for vector, w in vectors)

    def exchange(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        if not state.trainings and len(state.members) == 1:
            return ()
        at = self.told(cohort, state, round)
        return (Update(state.members, round, at, state.vector[at]),)

    def inference(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Average the products of the known clusters' adapters by their numbers of members."""
        experts = self.experts(cohort, state)
        if len(experts) == 1:
            return experts[0].adapter
        total = sum(len(expert.members) for expert in experts)
        return concatenate([(expert.adapter, len(expert.members) / total) for expert in experts])

    def experts(self, cohort: Cohort, state: DeviceState) -> tuple[Expert, ...]:
        """Return the own cluster's average, then those of the clusters that are known."""
        layout = cohort.layout
        experts = [Expert(state.members, Adapter(layout, state.vector, self.scale))]
        for members, update in sorted(state.known.items()):
            vector = self.background(cohort, state).copy()
            vector[update.coordinates] = update.values
            experts.append(Expert(members, Adapter(layout, vector, self.scale)))
        return tuple(experts)
