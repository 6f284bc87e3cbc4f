"""What methods share that merge more than coordinate by coordinate: products, or movements.

A device answers with one adapter that stands for its cluster, as where A and B are averaged.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from cosim.learning.methods._average import Averaged
from cosim.learning.methods.base import (
    Arrival,
    Cohort,
    DeviceState,
    Expert,
    forget,
    in_order,
    merged_members,
)


class OneAdapter(Averaged):
    """Merges by a rule of its own; sends and answers as methods do that average."""

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "neither"

    @abstractmethod
    def merged(
        self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival], own_weight: float
    ) -> DeviceState:
        """Return the state after aggregating, but for `members` and `known`.

        Args:
            cohort: what the devices have in common.
            state: as it was.
            arrivals: those of which something arrived, with weights above 0; at least one.
            own_weight: 1 less their weights, but not below 0.
        """

    def alone(self, state: DeviceState) -> DeviceState:
        """Return the state after a round in which there was nothing to aggregate."""
        return state

    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Aggregate what arrived; the model stays as it is if nothing did, or with weight 0."""
        members = merged_members(state, arrivals)
        counted = [arrival for arrival in in_order(arrivals) if arrival.weight > 0]
        own_weight = max(0.0, 1.0 - sum(arrival.weight for arrival in counted))
        state = self.merged(cohort, state, counted, own_weight) if counted else self.alone(state)
        return replace(state, members=members, known=forget(state.known, members))

    def experts(self, cohort: Cohort, state: DeviceState) -> tuple[Expert, ...]:
        """Return the device's own model, then those of the clusters that are known."""
        _, *known = super().experts(cohort, state)
        return (Expert(state.members, self.own_adapter(cohort, state)), *known)
