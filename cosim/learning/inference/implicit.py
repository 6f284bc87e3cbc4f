"""Inference `implicit`: P2's implicit mixture of experts, routed by codes instead of a network.

Device j publishes for each site the code z_j = A_j (mu_j - mu) of the inputs that it has trained
on: r floats. A sequence's code through the same A_j is compared with it:

    c_j = cos(A_j (xbar - mu), z_j),    alpha = softmax(c / temperature) of the top k

with xbar the mean of the site's inputs over the prompt. A random A_j is a sketch that keeps angles
(Johnson and Lindenstrauss), by about 1 / sqrt(r).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.errors import LearningError
from cosim.learning.inference._gates import pooled, softmax_top
from cosim.learning.inference.base import Codes, Inference, Question, routed
from cosim.learning.methods.base import Cohort, DeviceState, Expert, Method
from cosim.learning.mixture import Mixture, Router

if TYPE_CHECKING:
    from torch import Tensor


class Implicit(Inference):
    """Weights for every sequence.

    `scope: site`: at each site by its own codes. `scope: sequence`: the model first reads the
    sequence without adapters, and the mean of c_j over all sites decides at all of them, which
    takes another forward and averages the sketches' error away. An adapter of several members has
    the mean of their codes, each through the adapter's A.
    """

    asks_for_codes: ClassVar[bool] = True

    temperature: Annotated[float, Field(gt=0)] = 0.1
    top_k: Annotated[int, Field(ge=1)] | None = None
    scope: Literal["site", "sequence"] = "sequence"

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter | Mixture:
        """Return the mixture.

        Raises:
            LearningError: there are no codes, or not those of all members.
        """
        experts = method.experts(cohort, state)
        if question.codes is None:
            raise LearningError(
                "learning.inference: implicit needs the devices' codes, got none; it is for pools "
                "that train a model"
            )
        router = CodeRouter.of(
            experts, question.codes, self.temperature, self.top_k, self.scope == "sequence"
        )
        return routed(experts, router)


@dataclass(frozen=True)
class CodeRouter(Router):
    """By the cosine of a sequence's code and each adapter's.

    Attributes:
        adapters: of which the A are used.
        centers: for each site mu [d_in].
        offsets: for each site the members' mean mu_j - mu of every adapter, [J, d_in]; only its
            code goes on.
    """

    adapters: tuple[Adapter, ...] = field(repr=False)
    centers: tuple[Vector, ...] = field(repr=False)
    offsets: tuple[Vector, ...] = field(repr=False)
    temperature: float
    top_k: int | None
    per_sequence: bool

    @classmethod
    def of(
        cls,
        experts: Sequence[Expert],
        codes: Codes,
        temperature: float,
        top_k: int | None,
        per_sequence: bool,
    ) -> "CodeRouter":
        """Return the router of experts whose members' codes are known."""
        adapters = tuple(expert.adapter for expert in experts)
        offsets = tuple(
            np.stack([codes.offset(site, expert.members) for expert in experts])
            for site in range(len(codes.center))
        )
        return cls(adapters, codes.center, offsets, temperature, top_k, per_sequence)

    def known(self, site: int) -> tuple[Vector, ...]:
        """Return mu [d_in], all A [J, most ranks, d_in] and codes [J, most ranks]."""
        most = max(each.layout.rank for each in self.adapters)
        inputs = len(self.centers[site])
        a = np.zeros((len(self.adapters), most, inputs), dtype=np.float32)
        for number, each in enumerate(self.adapters):
            a[number, : each.layout.rank] = each.layout.a(each.vector, site)
        codes = np.einsum("jri,ji->jr", a, self.offsets[site], dtype=np.float64)
        return self.centers[site], a, codes.astype(np.float32)

    def scores(self, known: tuple["Tensor", ...], x: "Tensor", is_prompt: "Tensor") -> "Tensor":
        center, a, codes = known
        offset = pooled(x, is_prompt) - center.float()  # [rows, 1, d_in]
        mine = offset @ a.flatten(0, 1).mT.float()  # [rows, 1, J r]
        mine = mine.view(*mine.shape[:-1], *codes.shape)
        sizes = mine.norm(dim=-1) * codes.float().norm(dim=-1)
        cosine: Tensor = (mine * codes.float()).sum(dim=-1) / sizes.clamp(min=1e-12)
        return cosine

    def weights(self, scores: "Tensor") -> "Tensor":
        return softmax_top(scores, self.temperature, self.top_k)
