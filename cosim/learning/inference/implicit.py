"""Inference `implicit`: P2's implicit mixture of experts, routed by codes instead of a network.

Device j publishes for each site the code z_j = A_j (mu_j - mu): mu_j is the mean input of the site
over the prompts of j's training examples, in the base model without adapters, and mu that of a
sample that everybody has. It is r floats for each site, which come with j's first update
(`cosim.learning.codes`). A sequence's code through the same A_j is compared with it:

    c_j = cos(A_j (xbar - mu), z_j),    alpha = softmax(c / temperature) of the top k

with xbar the mean of the site's inputs over the prompt. A random A_j is a sketch that keeps angles
(Johnson and Lindenstrauss), by about 1 / sqrt(r).

Where devices have learned the same, their codes are alike, and weights of sum 1 divide what each
of M knows by M. `normalise: best` divides by the largest weight instead [own]: an expert that
stands out answers alone, as before, and those that are alike answer with their sum.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.errors import LearningError
from cosim.learning.inference._gates import pooled, softmax_top
from cosim.learning.inference.base import Inference, Question, routed
from cosim.learning.methods.base import Cohort, DeviceState, Method
from cosim.learning.mixture import Mixture, Router

if TYPE_CHECKING:
    from torch import Tensor


class Implicit(Inference):
    """Weights for every sequence.

    `scope: site`: at each site by its own codes. `scope: sequence`: the model first reads the
    sequence without adapters, and the mean of c_j over all sites decides at all of them, which
    takes another forward and averages the sketches' error away. An adapter of several members, who
    must have one A, has the mean of those of their codes that are known; one of whose members no
    code has arrived takes no part.

    Codes are for a frozen A that everybody can draw, as z_j would have to be sent anew with every
    change of A_j: sparse_orthogonal and lori with `combine: concat`, and ffa_lora. The sample that
    everybody has is the first eight training examples of every task [resolved: the source leaves mu
    open].
    """

    asks_for_codes: ClassVar[bool] = True

    temperature: Annotated[float, Field(gt=0)] = 0.1
    top_k: Annotated[int, Field(ge=1)] | None = None
    scope: Literal["site", "sequence"] = "sequence"
    normalise: Literal["sum", "best"] = "sum"

    def misfit(self, method: Method) -> str | None:
        """Codes are through an A that is drawn."""
        if method.has_drawn_a:
            return None
        return (
            "expected a method whose A is frozen and can be drawn by all, which codes go through "
            "(sparse_orthogonal or lori with combine: concat, or ffa_lora), or the inference "
            "argmax, arrow or spectral, which need no codes"
        )

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter | Mixture:
        """Return the mixture; what the method answers with where no code is known.

        Raises:
            LearningError: there are no codes.
        """
        if question.codes is None:
            raise LearningError(
                "learning.inference: implicit needs the devices' codes, got none; it is for pools "
                "that train a model"
            )
        pairs = [
            (expert, code)
            for expert in method.experts(cohort, state)
            if (code := question.codes.of(expert.members)) is not None
        ]
        if not pairs:
            return method.inference(cohort, state)
        experts = [expert for expert, _ in pairs]
        router = CodeRouter(
            tuple(expert.adapter for expert in experts),
            question.codes.center,
            tuple(code for _, code in pairs),
            self.temperature,
            self.top_k,
            self.scope == "sequence",
            self.normalise == "best",
        )
        return routed(experts, router)


@dataclass(frozen=True)
class CodeRouter(Router):
    """By the cosine of a sequence's code and each adapter's.

    Attributes:
        adapters: of which the A are used, J of one rank.
        centers: for each site mu [d_in].
        codes: of each adapter, [num sites, rank].
    """

    adapters: tuple[Adapter, ...] = field(repr=False)
    centers: tuple[Vector, ...] = field(repr=False)
    codes: tuple[NDArray[np.float32], ...] = field(repr=False)
    temperature: float
    top_k: int | None
    per_sequence: bool
    best_is_one: bool = False

    def known(self, site: int) -> tuple[Vector, ...]:
        """Return mu [d_in], all A [J, rank, d_in] and codes [J, rank]."""
        a = np.stack([each.layout.a(each.vector, site) for each in self.adapters])
        return self.centers[site], a, np.stack([code[site] for code in self.codes])

    def scores(self, known: tuple["Tensor", ...], x: "Tensor", is_prompt: "Tensor") -> "Tensor":
        center, a, codes = known
        offset = pooled(x, is_prompt) - center.float()  # [rows, 1, d_in]
        mine = offset @ a.flatten(0, 1).mT.float()  # [rows, 1, J r]
        mine = mine.view(*mine.shape[:-1], *codes.shape)
        sizes = mine.norm(dim=-1) * codes.float().norm(dim=-1)
        cosine: Tensor = (mine * codes.float()).sum(dim=-1) / sizes.clamp(min=1e-12)
        return cosine

    def weights(self, scores: "Tensor") -> "Tensor":
        alpha = softmax_top(scores, self.temperature, self.top_k)
        return alpha / alpha.amax(dim=-1, keepdim=True) if self.best_is_one else alpha
