"""Inference `linear`: sums of A meet aggregated B, as P1 (15)/(18) print it.

    W = W0 + s sum_c Bbar_c (sum_{j in c} alpha_j A_j)

In it each device's A_j also meets the B of the others, which were not trained with it.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from cosim.learning.adapter import Adapter, concatenate
from cosim.learning.errors import LearningError
from cosim.learning.inference.base import Inference, Question, shares
from cosim.learning.methods.base import Cohort, DeviceState, Expert, Method, with_mean_head


class Linear(Inference):
    """The literal answer, for what it is worth beside `concat` and `sum`.

    The devices that are known singly are one cluster c, with Bbar_c their mean, P1 (8) with its
    1/|M|. An adapter that holds several devices' training is a cluster whose factors have been
    aggregated before. `alpha`: `one`, or `normalised` to sum 1 over all members; the paper leaves
    it open. It needs adapters of one rank and scale.
    """

    alpha: Literal["one", "normalised"] = "one"

    def misfit(self, method: Method) -> str | None:
        """A of several ranks cannot be added."""
        if not method.grows_rank:
            return None
        return (
            "expected a method whose adapters have one rank, as A and B are added up entry by "
            "entry, or the inference sum or concat"
        )

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter:
        """Return the sum over clusters."""
        experts = method.experts(cohort, state)
        alphas = shares(experts) if self.alpha == "normalised" else [1.0] * len(experts)
        pairs = list(zip(experts, alphas, strict=True))
        singles = [(expert, alpha) for expert, alpha in pairs if len(expert.members) == 1]
        parts = [(each.adapter, alpha) for each, alpha in pairs if len(each.members) > 1]
        if singles:
            parts.append((_cluster(singles), 1.0))
        return with_mean_head(concatenate(parts), experts)


def _cluster(singles: Sequence[tuple[Expert, float]]) -> Adapter:
    """Return sum_j alpha_j A_j with the mean of B_j."""
    first = singles[0][0].adapter
    for expert, _ in singles:
        adapter = expert.adapter
        if adapter.layout != first.layout or adapter.scale != first.scale:
            raise LearningError(
                f"learning.inference: linear adds up A and averages B of adapters of one rank and "
                f"scale, got rank {adapter.layout.rank} and scale {adapter.scale:g} of devices "
                f"{expert.members} beside rank {first.layout.rank} and scale {first.scale:g}; use "
                f"concat or sum"
            )
    vector = np.zeros(first.layout.size, dtype=np.float64)
    b = first.layout.part_b
    for expert, alpha in singles:
        part = alpha * expert.adapter.vector.astype(np.float64)
        part[b] = expert.adapter.vector[b].astype(np.float64) / len(singles)
        vector += part
    return Adapter(first.layout, vector.astype(np.float32), first.scale)
