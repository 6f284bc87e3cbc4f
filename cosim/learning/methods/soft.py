"""SOFT (P3, Kim and Choi, arXiv 2505.00333): sparse updates that keep what the factors mean.

A penalty holds the rank components of A, and those of B, near orthogonal, so that the product
sum_j b_j a_j^T is near a singular value decomposition, and sigma_j = ||a_j|| ||b_j|| near its
values. A device's budget is divided over the components by sigma_j; each sends its largest entries.

Scores take O(r (d_in + d_out)) for each layer; a singular value decomposition of the product takes
O(d_in d_out min(d_in, d_out)), after O(r d_in d_out) to form it.
"""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cosim.learning.adapter import Layout, Mask, Vector
from cosim.learning.methods._apportion import apportion, budget_of, density_left, largest
from cosim.learning.methods._budget import at_random
from cosim.learning.methods._movements import SentState, Sparsified
from cosim.learning.methods._orthogonal_factors import OrthogonalFactors
from cosim.learning.methods.base import Cohort
from cosim.learning.penalties import Penalty


def strongest(layout: Layout, vector: Vector, drop: float) -> Mask:
    """Return SOFT's ceil((1 - drop) r sum(d_in + d_out)) coordinates of A and B, and the head.

    Every layer's budget is in proportion to its size; component j has a share of it in proportion
    to sigma_j = ||a_j|| ||b_j|| (evenly, if all are 0), at most its d_in + d_out entries, and of
    these the ones of greatest magnitude (ties: A first, then lowest index).

    Args:
        layout: where each layer's factors are.
        vector: flat vector of the layout.
        drop: the fraction that is left out.
    """
    chosen = np.zeros(layout.size, dtype=np.float32)
    sizes = [layout.rank * (site.d_in + site.d_out) for site in layout.sites]
    budgets = apportion(budget_of(density_left(drop), sum(sizes)), sizes, sizes)
    for number, (site, budget) in enumerate(zip(layout.sites, budgets.tolist(), strict=True)):
        a, b = layout.a(vector, number), layout.b(vector, number)
        score = np.linalg.norm(a.astype(np.float64), axis=1)
        score *= np.linalg.norm(b.astype(np.float64), axis=0)
        each = site.d_in + site.d_out
        counts = apportion(budget, score, np.full(layout.rank, each))
        components = np.abs(np.concatenate([a, b.T], axis=1))
        pairs = zip(components, counts.tolist(), strict=True)
        taken = np.stack([largest(entries, count) for entries, count in pairs])
        layout.a(chosen, number)[:] = taken[:, : site.d_in]
        layout.b(chosen, number)[:] = taken[:, site.d_in :].T
    chosen[layout.part_head] = 1
    return chosen > 0


class Soft(Sparsified):
    """LoRA with SOFT's penalty, sparsification and error feedback.

    `drop` is O, the fraction of A and B that is not sent; `orthogonality` is lambda, the penalty's
    weight, which the paper does not print. The default is from builtin:tiny, rank 8, after 64 steps
    of two tasks: of the Gram matrices of A and of B the norm off the diagonal is 0.07 and 0.32 of
    that on it, without the penalty 0.60 and 1.36, at one loss; at 0.1 the loss suffers.

    `feedback: deltas` sends of v = (w_end - w_broadcast) + m what `strongest` chooses, and keeps
    m = v less what was sent; nothing is lost. `weights` is the literal form, v = w_end + m: what is
    not sent counts as 0, and v holds again what the broadcast already has.
    """

    mixes_again: ClassVar[bool] = False

    drop: Annotated[float, Field(ge=0, lt=1)] = 0.5
    orthogonality: Annotated[float, Field(ge=0)] = 0.01
    feedback: Literal["deltas", "weights"] = "deltas"

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        return "sends" if self.feedback == "deltas" else "neither"

    def _keys_at(self, density: float) -> dict[str, float]:
        return {"drop": density_left(density)}

    def penalty(self) -> Penalty | None:
        return OrthogonalFactors(self.orthogonality) if self.orthogonality > 0 else None

    def wanted(self, state: SentState) -> Vector:
        """Return w_end + m, which is w_broadcast + v for deltas."""
        return state.vector + state.memory

    def counted_from(self, state: SentState) -> Vector:
        return state.base if self.feedback == "deltas" else np.zeros_like(state.base)

    def after_sending(self, state: SentState, sent: Vector) -> SentState:
        return replace(state, memory=self.wanted(state) - sent)

    def part_of(self, cohort: Cohort, state: SentState, moved: Vector) -> Mask:
        return strongest(cohort.layout, moved, self.drop)

    def likely(self, cohort: Cohort, state: SentState) -> Mask:
        density = density_left(self.drop)
        mask = np.zeros(cohort.layout.size, dtype=np.bool_)
        mask[at_random(cohort, density, "expected_mask", state.device)] = True
        return mask
