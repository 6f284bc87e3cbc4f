"""FLoRA (Wang et al., NeurIPS 2024, arXiv 2409.05976): modules are stacked, so nothing is lost.

Averaging A and B apart gives mean(B) mean(A), which is not mean(B A). FLoRA stacks the clients'
modules, [p_1 B_1 | ... | p_K B_K] [A_1; ...; A_K] = sum_k p_k B_k A_k, which is exact whatever
their ranks; the product goes into the weights, and the modules start anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Mask, Vector, concatenate
from cosim.learning.methods._budget import rank_coordinates
from cosim.learning.methods._draw import common_a
from cosim.learning.methods._one_adapter import OneAdapter
from cosim.learning.methods._products import (
    beside,
    compressed,
    filled,
    first_part,
    mean_head,
    truncated,
)
from cosim.learning.methods.base import (
    Arrival,
    Cohort,
    DeviceState,
    Parts,
    Update,
    forget,
    in_order,
    merged_members,
)


@dataclass(frozen=True)
class FloraState(DeviceState):
    """A module, and what the device has taken over from all earlier ones.

    Attributes:
        residual: sum of all products merged so far, frozen; of the method's scale, its head 0.
        restarts: how often the module has started anew; of a client, that of its server.
        merged_at: how many trainings it had done when the module last did.
    """

    residual: Adapter | None = field(default=None, repr=False)
    restarts: int = 0
    merged_at: int = 0


class Flora(OneAdapter):
    """Trains and sends all of A and B; merges their products into a frozen part.

    Resolved: the products go into a residual of each device's own, never into the base model, which
    all devices share. It grows by the sum of the ranks at each merge, until a matrix of the largest
    layer can need no more; from then on the sum of the products is kept, which is exact but for
    rounding: the relative error of a small layer is 1e-7 after 30 merges, 5e-7 after 1,000.
    Where a packet was lost, the sender's module has the receiver's coordinates; so that these fit,
    the n-th A of all devices is the same. The head of a model that has one is averaged.

    A gateway sends another cluster the nearest adapter of rank `rank` of all that it holds, as an
    update has room for no more. A device that has not trained passes on nothing.

    A server broadcasts its whole residual, `rank` ranks in an update: after its first merge all
    clients' modules, by their weights. So a client that has missed some rounds holds what the
    others do, and a broadcast grows as the residual does. A client that trains again without one
    takes its own module, which it has sent, into its residual, and starts anew.
    """

    grows_rank: ClassVar[bool] = True
    mixes_again: ClassVar[bool] = False

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "sends"

    def starts_anew(self, state: DeviceState) -> bool:
        return True

    def start(self, cohort: Cohort, device: int) -> FloraState:
        state = super().start(cohort, device)
        return FloraState(device, state.vector, state.trainable, state.members)

    def training(self, cohort: Cohort, state: DeviceState) -> tuple[Adapter, Mask]:
        """Train the module in the presence of the residual."""
        adapter = self.own_adapter(cohort, self._after_last(cohort, _flora(state)))
        layout = adapter.layout
        trainable = np.zeros(layout.size, dtype=np.bool_)
        trainable[rank_coordinates(layout, self.rank)] = True
        return adapter, trainable

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        state = self._after_last(cohort, _flora(state))
        return super().trained(cohort, state, first_part(cohort.layout, vector))

    def _after_last(self, cohort: Cohort, state: FloraState) -> FloraState:
        """Return a client's state with a module that it has sent in its residual."""
        if not cohort.servers or state.trainings == state.merged_at:
            return state
        head = state.vector[cohort.layout.part_head]
        residual = self._sum([(self.own_adapter(cohort, state), 1.0)])
        return self._anew(cohort, state, residual, state.restarts, head)

    def broadcast(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Send the residual, and the head with its first ranks.

        The updates' round is how often modules have started anew, by which clients draw their A.
        """
        if len(state.members) == 1:
            return ()
        layout, held = cohort.layout, _flora(state)
        sent = []
        for number, vector in enumerate(_slices(layout, held.residual)):
            left = (held.residual.layout.rank if held.residual else 0) - number * layout.rank
            at = rank_coordinates(layout, min(layout.rank, max(left, 0)))
            if number == 0:
                vector[layout.part_head] = held.vector[layout.part_head]
            else:
                at = at[at < layout.part_head.start]
            sent.append(Update(held.members, held.restarts, at, vector[at]))
        return tuple(sent)

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Take over the residual, and start anew.

        A lost coordinate of it is that of the own residual in its place, if there is one.
        """
        layout, held = cohort.layout, _flora(state)
        there = in_order(arrivals)
        if not there:
            return state
        own = _slices(layout, held.residual, len(arrivals))
        own[0][layout.part_head] = held.vector[layout.part_head]
        vectors = [filled(*each) for each in zip(own, arrivals, strict=False)]
        head = vectors[0][layout.part_head]
        residual = self._sum([(Adapter(layout, vector, self.scale), 1.0) for vector in vectors])
        members = merged_members(state, there)
        adopted = self._anew(cohort, held, residual, there[-1].update.round, head)
        return replace(adopted, members=members, known=forget(state.known, members))

    def counted(self, cohort: Cohort, state: DeviceState, arrival: Arrival) -> Vector:
        return filled(state.vector, arrival)

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        """Return the modules by their weights, and all of what the device has merged before."""
        residual, parts = _flora(state).residual, super().parts(cohort, state, arrivals)
        return parts if residual is None else (*parts, (residual, 1.0))

    def merged(
        self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival], own_weight: float
    ) -> DeviceState:
        """Add sum_k p_k s B_k A_k, the device's own module among them, and start anew."""
        layout, held = cohort.layout, _flora(state)
        parts = [(state.vector, own_weight)]
        parts += [(filled(state.vector, each), each.weight) for each in arrivals]
        products = [] if held.residual is None else [(held.residual, 1.0)]
        products += [(Adapter(layout, vector, self.scale), weight) for vector, weight in parts]
        head = mean_head(layout, parts)
        return self._anew(cohort, held, self._sum(products), held.restarts + 1, head)

    def _sum(self, products: Sequence[tuple[Adapter, float]]) -> Adapter | None:
        """Return the sum of products as a residual; None if there are none but zeros."""
        counted = [
            (adapter, weight)
            for adapter, weight in products
            if weight > 0 and adapter.vector[adapter.layout.part_b].any()
        ]
        if not counted:
            return None
        residual = compressed(concatenate(counted), self.scale)
        residual.vector[residual.layout.part_head] = 0
        return residual

    def _anew(
        self,
        cohort: Cohort,
        state: FloraState,
        residual: Adapter | None,
        restarts: int,
        head: Vector,
    ) -> FloraState:
        """Return the state with a new residual and a module that has just started."""
        layout = cohort.layout
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[layout.part_a] = common_a(cohort, restarts)
        vector[layout.part_head] = head
        return replace(
            state, vector=vector, residual=residual, restarts=restarts, merged_at=state.trainings
        )

    def exchange(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Send the nearest module of all that the device holds."""
        if not state.trainings and _flora(state).residual is None:
            return ()
        held = self.own_adapter(cohort, state)
        nearest = truncated(held, cohort.layout, self.rank, self.scale, state.vector)
        return (Update(state.members, round, self.shared(cohort.layout), nearest),)

    def own_adapter(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return the module and the residual."""
        return beside(Adapter(cohort.layout, state.vector, self.scale), _flora(state).residual)


def _flora(state: DeviceState) -> FloraState:
    """Return a state of this method as what it is."""
    assert isinstance(state, FloraState)
    return state


def _slices(layout: Layout, residual: Adapter | None, least: int = 1) -> list[Vector]:
    """Return an adapter of any rank as vectors of a layout, zeros where there is no more of it.

    Args:
        layout: of the vectors, over the same sites and head.
        residual: None for zeros.
        least: how many vectors there are at least.
    """
    whole = 0 if residual is None else residual.layout.rank
    starts = range(0, max(whole, least * layout.rank), layout.rank)
    vectors = [np.zeros(layout.size, dtype=np.float32) for _ in starts]
    if residual is None:
        return vectors
    for start, vector in zip(starts, vectors, strict=True):
        ranks = slice(start, start + layout.rank)
        for site in range(len(layout.sites)):
            a = residual.layout.a(residual.vector, site)[ranks]
            layout.a(vector, site)[: len(a)] = a
            b = residual.layout.b(residual.vector, site)[:, ranks]
            layout.b(vector, site)[:, : len(a)] = b
    return vectors
