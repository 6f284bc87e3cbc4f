"""Sparse-and-orthogonal LoRA (P1 sections III-IV, P2): frozen random A_i, B_i on a fixed mask.

The A of two devices are orthogonal, in expectation or exactly, so the sum of their products hardly
interferes; sparse B make masks collide seldom (P1 (16)) and payloads small.
"""

from typing import Literal

from cosim.learning.adapter import Vector
from cosim.learning.methods._draw import gaussian_a, orthonormal_a
from cosim.learning.methods._masked import Masked
from cosim.learning.methods.base import Cohort


class SparseOrthogonal(Masked):
    """The papers' method.

    `orthogonal: random` draws A_i from N(0, 1/d_in), `literal` from N(0, 1) as it is printed, so
    that an A is sqrt(d_in) times as large; `exact` gives the devices disjoint slices of one QR
    decomposition per layer, while devices x rank <= d_in.

    From the papers: frozen A_i, masked B_i, aggregation (8)/(9), answer (15)/(18); of P2, densities
    by layer. Resolved: the mask is the exact top of |B| after a dense warm-up; `keep: signed` is
    the literal indicator, `agg: mean` the literal aggregation with the sign by which it converges,
    `combine: linear` with `alpha: one` the literal answer.
    """

    orthogonal: Literal["random", "literal", "exact"] = "random"

    def frozen_a(self, cohort: Cohort, device: int) -> Vector:
        if self.orthogonal == "exact":
            return orthonormal_a(cohort, device)
        return gaussian_a(cohort, device, literal=self.orthogonal == "literal")
