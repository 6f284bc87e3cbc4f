"""LoRA with dense A and B, averaged inside a cluster (FedAvg of LoRA; P1's baseline "LoRA").

Devices that start from one A average well: their A stay close, so the product of the averages is
near the average of the products. It is the resolved default; P1 does not say how A starts.
"""

from typing import Literal

from cosim.learning.adapter import Vector
from cosim.learning.methods._average import Averaged
from cosim.learning.methods._draw import gaussian_a, kaiming_a
from cosim.learning.methods.base import Cohort


class Lora(Averaged):
    """Trains and sends all of A and B.

    `common_start`: every device starts from the same A (with B = 0 the adapter then starts as the
    same function everywhere); otherwise each draws its own.

    `init`: entries of A are uniform of variance 1/(3 d_in) as in PEFT (`kaiming`), or N(0, 1/d_in)
    (`gaussian`), as if `scale` were 1.7 times as large.
    """

    common_start: bool = True
    init: Literal["kaiming", "gaussian"] = "kaiming"

    def first_a(self, cohort: Cohort, device: int) -> Vector:
        draw = kaiming_a if self.init == "kaiming" else gaussian_a
        return draw(cohort, None if self.common_start else device)
