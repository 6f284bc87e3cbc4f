"""FlexLoRA (Bai et al., NeurIPS 2024, arXiv 2402.11505): the mean product, cut to each one's rank.

The products of the clients' modules are averaged at full size, W = sum_k p_k s B_k A_k, which is
exact for any ranks; the singular value decomposition W = U S V^T then gives every client the
nearest module of its own rank, B = U_r S_r / s and A = V_r^T.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from cosim.learning.adapter import Adapter, Vector, concatenate
from cosim.learning.methods._budget import rank_coordinates
from cosim.learning.methods._one_adapter import OneAdapter
from cosim.learning.methods._products import filled, mean_head, truncated
from cosim.learning.methods._ranks import Rank, check_largest, cut, with_largest
from cosim.learning.methods.base import Arrival, Cohort, Coordinates, DeviceState


class Flexlora(OneAdapter):
    """Trains and sends the first ranks of A and B, of each device as many as it has.

    `ranks`: device i has rank `ranks[i mod len(ranks)]`; `rank` is the largest of them, and need
    not be given. Where there are none, all devices have `rank`.

    Resolved: W is decomposed by its factors, which is the same without a matrix of a layer's full
    size. Where W has fewer ranks than a device, the device's A keeps its other rows, with B = 0.
    Where a packet was lost, the sender's module has the receiver's coordinates. What has never
    trained holds all ranks, as a server does; of its broadcast, whose ranks are in the order of
    their singular values, clients take the first, as many as they have. The head of a model that
    has one is averaged.
    """

    ranks: tuple[Rank, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _rank_is_the_largest(cls, data: Any) -> Any:
        return with_largest(data)

    @model_validator(mode="after")
    def _ranks_fit(self) -> Self:
        check_largest(self.rank, self.ranks)
        return self

    def rank_of(self, device: int) -> int:
        """Return the rank of a device's module."""
        return self.ranks[device % len(self.ranks)] if self.ranks else self.rank

    def starts_anew(self, state: DeviceState) -> bool:
        return True

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        state, layout = super().start(cohort, device), cohort.layout
        rank = self.rank if device in cohort.servers else self.rank_of(device)
        trainable = np.zeros(layout.size, dtype=np.bool_)
        trainable[rank_coordinates(layout, rank)] = True
        vector = np.where(trainable, state.vector, np.float32(0))
        if np.any(state.vector[layout.part_b] != vector[layout.part_b]):  # it was given more ranks
            given = Adapter(layout, state.vector, self.scale)
            vector = truncated(given, layout, rank, self.scale, state.vector)
        return replace(state, vector=vector, trainable=trainable)

    def sent(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        return np.flatnonzero(state.trainable)

    def told(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        return self.sent(cohort, state, round) if state.trainings else self.shared(cohort.layout)

    def counted(self, cohort: Cohort, state: DeviceState, arrival: Arrival) -> Vector:
        return filled(state.vector, arrival)

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        return super().adopt(cohort, state, cut(arrivals, state.trainable))

    def merged(
        self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival], own_weight: float
    ) -> DeviceState:
        """Average the products, and take the nearest module of the device's rank."""
        layout = cohort.layout
        parts = [(state.vector, own_weight)]
        parts += [(filled(state.vector, each), each.weight) for each in arrivals]
        mean = concatenate([(Adapter(layout, vector, self.scale), w) for vector, w in parts])
        rank = self.rank_of(state.device) if state.trainings else self.rank
        vector = truncated(mean, layout, rank, self.scale, state.vector)
        vector[layout.part_head] = mean_head(layout, parts)
        return replace(state, vector=vector)
