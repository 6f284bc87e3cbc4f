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

    `orthogonal: random` draws A_i from N(0, 1/d_in) (the paper prints N(0, 1)); `exact` gives the
    devices disjoint slices of one QR decomposition per layer, while devices x rank <= d_in.

    From the paper: frozen A_i, masked B_i, aggregation (8)/(9), answer (15)/(18). Resolved: the
    mask is the exact top of |B| after a dense warm-up; `agg: mean` is the literal aggregation,
    `combine: linear` with `alpha: one` the literal answer.
    """

    orthogonal: Literal["random", "exact"] = "random"

    def frozen_a(self, cohort: Cohort, device: int) -> Vector:
        draw = gaussian_a if self.orthogonal == "random" else orthonormal_a
        return draw(cohort, device)
