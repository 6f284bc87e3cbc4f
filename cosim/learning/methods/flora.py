"""FLoRA (Wang et al., NeurIPS 2024, arXiv 2409.05976): modules are stacked, so nothing is lost.

Averaging A and B apart gives mean(B) mean(A), which is not mean(B A). FLoRA stacks the clients'
modules, [p_1 B_1 | ... | p_K B_K] [A_1; ...; A_K] = sum_k p_k B_k A_k, which is exact whatever
their ranks; the product goes into the weights, and the modules start anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from cosim.learning.adapter import Adapter, Mask, Vector, concatenate
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
from cosim.learning.methods.base import Arrival, Cohort, DeviceState, Parts, Update


@dataclass(frozen=True)
class FloraState(DeviceState):
    """A module, and what the device has taken over from all earlier ones.

    Attributes:
        residual: sum of all products merged so far, frozen; of the method's scale, its head 0.
        restarts: how often the module has started anew.
    """

    residual: Adapter | None = field(default=None, repr=False)
    restarts: int = 0


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
    """

    grows_rank: ClassVar[bool] = True

    def starts_anew(self, state: DeviceState) -> bool:
        return True

    def start(self, cohort: Cohort, device: int) -> FloraState:
        state = super().start(cohort, device)
        return FloraState(device, state.vector, state.trainable, state.members)

    def training(self, cohort: Cohort, state: DeviceState) -> tuple[Adapter, Mask]:
        """Train the module in the presence of the residual."""
        adapter = self.own_adapter(cohort, state)
        layout = adapter.layout
        trainable = np.zeros(layout.size, dtype=np.bool_)
        trainable[rank_coordinates(layout, self.rank)] = True
        return adapter, trainable

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        return super().trained(cohort, state, first_part(cohort.layout, vector))

    def update(self, cohort: Cohort, state: DeviceState, round: int) -> Update | None:
        return super().update(cohort, state, round) if state.trainings else None

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
        products += [
            (Adapter(layout, vector, self.scale), weight)
            for vector, weight in parts
            if weight > 0 and vector[layout.part_b].any()
        ]
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[layout.part_a] = common_a(cohort, held.restarts + 1)
        vector[layout.part_head] = mean_head(layout, parts)
        residual = compressed(concatenate(products), self.scale) if products else None
        if residual is not None:
            residual.vector[residual.layout.part_head] = 0
        return replace(held, vector=vector, residual=residual, restarts=held.restarts + 1)

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
