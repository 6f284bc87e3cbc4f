"""HetLoRA (Cho et al. 2024, arXiv 2401.06432): devices of unequal ranks share one adapter.

As published (figure 2): client k holds the first r_k ranks of the server's adapter (truncation)
and trains them; its update is padded with zeros to the largest rank, and the server averages with
weights ||B_k A_k||_F / sum_k ||B_k A_k||_F (sparsity-weighted aggregation). P3's baseline of this
name lets all train the full rank and send as many of the first ranks as a budget holds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cosim.learning.adapter import Adapter, Layout, Mask, Vector
from cosim.learning.methods._average import average
from cosim.learning.methods._budget import rank_coordinates, whole_ranks
from cosim.learning.methods._clients import Moved
from cosim.learning.methods._ranks import Rank, check_largest, cut, with_largest
from cosim.learning.methods.base import Arrival, Cohort, Coordinates, DeviceState, Parts, in_order


class Hetlora(Moved):
    """Sends the first ranks: of A the first rows, of B the first columns, and the head.

    `sense: published`: device i has rank `ranks[i mod len(ranks)]`; the largest of them is `rank`,
    and the scale is that of all. The device's own adapter and each arrival count, head and all, by
    their weight times the norm of their product. Ranks beyond the sender's are zero in its update,
    and those beyond the receiver's are cut off. A device that has never trained holds all ranks, as
    a server does; its clients cut its broadcast to their ranks. Ranks stay as they are: the paper's
    self-pruning of ranks is left out.

    `sense: p3`: every device trains `rank` ranks, and sends the floor(density rank) first of them;
    of the rest the receiver keeps its own. A server adds w_j times their movements to its own.
    """

    sense: Literal["published", "p3"] = "published"
    ranks: Annotated[tuple[Rank, ...], Field(min_length=1)] = (2, 4, 8)
    density: Annotated[float, Field(gt=0, le=1)] = 0.25

    @model_validator(mode="before")
    @classmethod
    def _rank_is_the_largest(cls, data: Any) -> Any:
        is_p3 = isinstance(data, Mapping) and data.get("sense") == "p3"
        return data if is_p3 else with_largest(data)

    @model_validator(mode="after")
    def _ranks_fit(self) -> Self:
        if self.sense == "published":
            check_largest(self.rank, self.ranks)
        if self.sense == "p3" and whole_ranks(self.rank, self.density) == 0:
            raise ValueError(
                f"expected a density that holds at least one of {self.rank} ranks, "
                f"1/{self.rank}, got {self.density}"
            )
        return self

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "sends" if self.sense == "p3" else "neither"

    def _keys_at(self, density: float) -> dict[str, float] | None:
        """At least one whole rank is sent."""
        least = math.nextafter(1.0 / self.rank, 1.0)  # 3 times the digits of 1/3 are below 1
        return {"density": max(density, least)} if self.sense == "p3" else None

    def ranks_of(self, device: int) -> int:
        """Return how many ranks a device sends (published: and holds)."""
        if self.sense == "p3":
            return whole_ranks(self.rank, self.density)
        return self.ranks[device % len(self.ranks)]

    def start_in_common(self, layout: Layout) -> slice:
        return slice(0, layout.size if self.sense == "p3" else 0)

    def start(self, cohort: Cohort, device: int) -> DeviceState:
        state = super().start(cohort, device)
        if self.sense == "published":
            state.trainable[:] = self._held(cohort.layout, device)
        return state

    def training(self, cohort: Cohort, state: DeviceState) -> tuple[Adapter, Mask]:
        vector = state.vector
        if self.sense == "published":
            vector = np.where(state.trainable, vector, np.float32(0))
        return Adapter(cohort.layout, vector, self.scale), state.trainable

    def sent(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        return rank_coordinates(cohort.layout, self.ranks_of(state.device))

    def told(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        if state.trainings == 0:
            return self.shared(cohort.layout)
        return self.sent(cohort, state, round)

    def background(self, cohort: Cohort, state: DeviceState) -> Vector:
        if self.sense == "p3":
            return self.first_vector(cohort, state.device)
        return super().background(cohort, state)

    def mixed(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Vector:
        if self.sense == "p3":
            return average(state.vector, arrivals)
        mean = norm_weighted(cohort.layout, state.vector, arrivals)
        return np.where(state.trainable, mean, np.float32(0)) if state.trainings else mean

    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        return super().adopt(cohort, state, cut(arrivals, state.trainable))

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        if self.sense == "p3":
            return super().parts(cohort, state, arrivals)
        weighted = by_norm(cohort.layout, state.vector, arrivals)
        pairs = [(vector.astype(np.float32), weight) for vector, weight in weighted]
        return tuple((Adapter(cohort.layout, vector, self.scale), w) for vector, w in pairs)

    def _held(self, layout: Layout, device: int) -> Mask:
        mask = np.zeros(layout.size, dtype=np.bool_)
        mask[rank_coordinates(layout, self.ranks_of(device))] = True
        return mask


def norm_weighted(layout: Layout, own: Vector, arrivals: Sequence[Arrival]) -> Vector:
    """Return the mean of the own and the arrivals' vectors, weighted by weight times norm.

    What was never sent is zero (padding); what was sent but lost is the device's own. Where all
    products are zero, the weights alone count.
    """
    pairs = by_norm(layout, own, arrivals)
    return np.asarray(sum(weight * vector for vector, weight in pairs), dtype=np.float32)


def by_norm(
    layout: Layout, own: Vector, arrivals: Sequence[Arrival]
) -> list[tuple[NDArray[np.float64], float]]:
    """Return the vectors of that mean, the own one first, with their weights."""
    arrivals = in_order(arrivals)
    vectors = [own.astype(np.float64)]
    for arrival in arrivals:
        padded = np.zeros(layout.size)
        padded[arrival.sent] = own[arrival.sent]
        padded[arrival.update.coordinates] = arrival.update.values
        vectors.append(padded)
    given = [arrival.weight for arrival in arrivals]
    weights = np.array([1.0 - sum(given), *given])
    norms = np.array([product_norm(layout, vector) for vector in vectors])
    weighted = weights * norms
    if weighted.sum() > 0:
        weights = weighted / weighted.sum()
    return list(zip(vectors, weights.tolist(), strict=True))


def product_norm(layout: Layout, vector: NDArray[np.floating]) -> float:
    """Return ||B A||_F over all sites, from the r x r Gram matrices of the factors.

    Args:
        layout: where each site's factors are.
        vector: [layout.size].
    """
    squared = 0.0
    flat = vector.astype(np.float64)
    for site in range(len(layout.sites)):
        a, b = layout.a(flat, site), layout.b(flat, site)  # type: ignore[arg-type]
        squared += float(np.sum((b.T @ b) * (a @ a.T)))
    return float(np.sqrt(max(squared, 0.0)))
