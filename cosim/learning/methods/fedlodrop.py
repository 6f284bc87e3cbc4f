"""FedLoDrop (Xie et al. 2025, arXiv 2510.12078): dropout of the adapter saves training and sending.

In each round a device drops inputs and outputs of each layer's adapter with probability gamma:
A diag(m_A) and diag(m_B) B, entries of both masks Bernoulli(1 - gamma). It trains and sends the
columns of A and the rows of B that are left. It is the LoRA dropout of Lin et al. 2024 (arXiv
2404.09610), which leaves the rank as it is, held for a round. In P3's comparison (arXiv 2505.00333)
the name stands for something else: random rank components are sent of an adapter trained whole.
"""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cosim.learning.adapter import Adapter, Layout, Mask, Vector
from cosim.learning.methods._apportion import budget_of, density_left
from cosim.learning.methods._movements import SentState, Sparsified
from cosim.learning.methods.base import Cohort, DeviceState


class Fedlodrop(Sparsified):
    """LoRA of which each device, in each round, drops a random part.

    `drop` is gamma, or P3's O. `sense: published` drops inputs and outputs of layers, each with
    that probability, from training and from what is sent; `p3` drops whole rank components
    [a_j; b_j] from what is sent, and of one of them a part, so that exactly
    ceil((1 - drop) r sum(d_in + d_out)) coordinates are left.

    Resolved: each device draws for itself, from an address; what is left is not scaled up by
    1 / (1 - gamma); an aggregate counts what a device does not send as not moved. With
    `sense: p3` training that is not sent is lost when the device merges, as where a server's
    broadcast replaces its clients' models.
    """

    drop: Annotated[float, Field(ge=0, lt=1)] = 0.5
    sense: Literal["published", "p3"] = "published"

    def _keys_at(self, density: float) -> dict[str, float] | None:
        return {"drop": density_left(density)} if self.sense == "p3" else None

    def start(self, cohort: Cohort, device: int) -> SentState:
        state = super().start(cohort, device)
        if self.sense == "p3":
            return state
        return replace(state, trainable=self._kept(cohort, device, 0))

    def training(self, cohort: Cohort, state: DeviceState) -> tuple[Adapter, Mask]:
        """Train without the dropped inputs and outputs (published), or the whole (p3)."""
        if self.sense == "p3":
            return super().training(cohort, state)
        vector = np.where(state.trainable, state.vector, np.float32(0))
        return Adapter(cohort.layout, vector, self.scale), state.trainable

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        """Take over what was trained; what was dropped is as it was before, and others are next."""
        if self.sense == "p3":
            return super().trained(cohort, state, vector)
        state = super().trained(cohort, state, np.where(state.trainable, vector, state.vector))
        return replace(state, trainable=self._kept(cohort, state.device, state.trainings))

    def part_of(self, cohort: Cohort, state: SentState, moved: Vector) -> Mask:
        return self._kept(cohort, state.device, state.trainings - 1)

    def likely(self, cohort: Cohort, state: SentState) -> Mask:
        return self._kept(cohort, state.device, state.trainings)

    def _kept(self, cohort: Cohort, device: int, training: int) -> Mask:
        """Return what is left of the adapter in a device's n-th training, counted from 0."""
        layout = cohort.layout
        rng = cohort.draws.generator("lora_dropout", device, training)
        if self.sense == "published":
            return _without_inputs_and_outputs(layout, rng, self.drop)
        return _components(layout, rng, self.drop)


def _without_inputs_and_outputs(layout: Layout, rng: np.random.Generator, drop: float) -> Mask:
    kept = np.ones(layout.size, dtype=np.float32)
    for number, site in enumerate(layout.sites):
        layout.a(kept, number)[:] = rng.random(site.d_in) >= drop
        layout.b(kept, number)[:] = (rng.random(site.d_out) >= drop)[:, None]
    return kept > 0


def _components(layout: Layout, rng: np.random.Generator, drop: float) -> Mask:
    """Return components in random order, until the budget is spent; and the head."""
    kept = np.zeros(layout.size, dtype=np.float32)
    kept[layout.part_head] = 1
    left = budget_of(density_left(drop), layout.size_a + layout.size_b)
    for component in rng.permutation(len(layout.sites) * layout.rank).tolist():
        number, j = divmod(component, layout.rank)
        a, b = layout.a(kept, number)[j], layout.b(kept, number)[:, j]
        a[:left] = 1
        b[: max(left - a.size, 0)] = 1
        left = max(left - a.size - b.size, 0)
    return kept > 0
