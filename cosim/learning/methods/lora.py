"""LoRA with dense A and B, averaged inside a cluster (FedAvg of LoRA; P1's baseline "LoRA").

Devices that start from one A average well: their A stay close, so the product of the averages is
near the average of the products. It is the resolved default; P1 does not say how A starts.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cosim.learning.adapter import Adapter, Layout, concatenate
from cosim.learning.methods._draw import kaiming_a
from cosim.learning.methods.base import (
    Arrival,
    Cohort,
    Coordinates,
    DeviceState,
    Expert,
    Method,
    Update,
    forget,
    merged_members,
)


class Lora(Method):
    """Trains and sends all of A and B.

    `common_start`: every device starts from the same A (with B = 0 the adapter then starts as the
    same function everywhere); otherwise each draws its own.
    """

    common_start: bool = True

    def scope(self, layout: Layout) -> slice:
        return slice(0, layout.size)

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        layout = cohort.layout
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[: layout.size_a] = kaiming_a(cohort, None if self.common_start else device)
        return DeviceState(device, vector, np.ones(layout.size, dtype=np.bool_), (device,))

    def update(self, cohort: Cohort, state: DeviceState, round: int) -> Update | None:
        if state.trainings == 0:
            return None
        return Update((state.device,), round, self.expected(cohort, state), state.vector)

    def expected(self, cohort: Cohort, state: DeviceState) -> Coordinates:
        return np.arange(cohort.layout.size, dtype=np.int64)

    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Average A and B: x_i + sum_j w_ij (x_j - x_i), P1 (8)/(9) with the resolved sign."""
        own = state.vector.astype(np.float64)
        mean = own.copy()
        for arrival in arrivals:
            at = arrival.update.coordinates
            mean[at] += arrival.weight * (arrival.update.values - own[at])
        members = merged_members(state, arrivals)
        return replace(
            state,
            vector=mean.astype(np.float32),
            members=members,
            known=forget(state.known, members),
        )

    def exchange(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        update = self.update(cohort, state, round)
        return () if update is None else (replace(update, members=state.members),)

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
            adapter = Adapter(layout, update.dense(layout), self.scale)
            experts.append(Expert(members, adapter))
        return tuple(experts)
