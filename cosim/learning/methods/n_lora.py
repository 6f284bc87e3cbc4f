"""N-LoRA (Yang et al. 2024, arXiv 2410.10179): products with few nonzero entries do not collide.

As published: the loss of task i is LoRA's plus lambda ||Delta W_i||_1, Delta W_i = B_i A_i, so that
the tasks' changes of the weights have few entries in common; each task's adapter is then frozen and
added to the model, W_0 + sum_i Delta W_i. There tasks come one after another on one machine; here
they are on devices, side by side.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from cosim.learning.adapter import Adapter, concatenate
from cosim.learning.methods._average import Averaged
from cosim.learning.methods._product_l1 import ProductL1
from cosim.learning.methods.base import (
    Arrival,
    Cohort,
    DeviceState,
    Expert,
    Members,
    Parts,
    Update,
    in_order,
    merged_members,
    remember,
)
from cosim.learning.penalties import Penalty


class NLora(Averaged):
    """Trains and sends all of A and B, and the head, with the L1 norm of the product in the loss.

    `l1`: lambda, on sum |scale B A| over all entries of all sites [own default: on the builtin
    model it leaves a tenth of the collisions above 0.01, and raises no loss].
    `combine: sum` is the published combination: each device keeps its own adapter and those that it
    was sent, and answers with the sum of their products; nothing is averaged, weights do not count.
    A server passes on the newest adapter of each client, as many as there are.
    `average` averages A, B and the head as `lora` does; a server then broadcasts one adapter.
    """

    l1: Annotated[float, Field(gt=0)] = 1e-5
    combine: Literal["sum", "average"] = "sum"

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "adds" if self.combine == "average" else "neither"

    def start_misfit(self) -> str | None:
        if self.combine == "average":
            return None
        return (
            "expected combine: average for devices that start from adapters they are given, got "
            "sum, which would count what all start with once for each; use combine: average"
        )

    def penalty(self) -> Penalty | None:
        return ProductL1(self.l1)

    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Keep each arrival as an adapter of its own (sum), or average (average)."""
        if self.combine == "average":
            return super().merge(cohort, state, arrivals)
        known = dict(state.known)
        for arrival in in_order(arrivals):
            known = remember(known, arrival)
        return replace(state, members=merged_members(state, arrivals), known=known)

    def broadcast(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Send each known adapter (sum), or the average (average)."""
        if self.combine == "average":
            return super().broadcast(cohort, state, round)
        return tuple(update for _, update in sorted(state.known.items()))

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Keep the others' adapters beside the own (sum), or take over the average (average)."""
        if self.combine == "average":
            return super().adopt(cohort, state, arrivals)
        if not in_order(arrivals):
            return state
        return replace(self.store(state, arrivals), members=merged_members(state, arrivals))

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        return super().parts(cohort, state, arrivals) if self.combine == "average" else ()

    def exchange(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Send each known adapter of the cluster (sum), or the cluster's average (average)."""
        if self.combine == "average":
            return super().exchange(cohort, state, round)
        own = self.update(cohort, state, round)
        others = ((member,) for member in state.members if member != state.device)
        known = [state.known[key] for key in others if key in state.known]
        sent = known if own is None else [own, *known]
        return tuple(sorted(sent, key=lambda update: update.members))

    def answers_for(self, state: DeviceState) -> Members:
        return (state.device,) if self.combine == "sum" else state.members

    def inference(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return sum_j Delta W_j of all that is known (sum), or the clusters' mean (average)."""
        if self.combine == "average":
            return super().inference(cohort, state)
        return concatenate([(expert.adapter, 1.0) for expert in self.experts(cohort, state)])

    def experts(self, cohort: Cohort, state: DeviceState) -> tuple[Expert, ...]:
        own, *others = super().experts(cohort, state)
        if others and state.device in cohort.servers:  # which has no adapter of its own
            return tuple(others)
        return (replace(own, members=self.answers_for(state)), *others)
