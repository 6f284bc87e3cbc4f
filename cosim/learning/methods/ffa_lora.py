"""FFA-LoRA (Sun et al. 2024, arXiv 2403.12313): A common, random and frozen; B trained.

As published: every client holds the same random A_0 for good; only B, which starts at
zero, is trained, sent and averaged. With one A, (sum_j w_j B_j) A = sum_j w_j (B_j A): averaging is
exact for the product, and half of the adapter is never sent.
"""

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Vector
from cosim.learning.methods._average import Averaged, mean_adapter
from cosim.learning.methods.base import Cohort, Coordinates, DeviceState


class FfaLora(Averaged):
    """Trains, sends and averages B, and the head if there is one; A is drawn, not sent.

    A is Kaiming-uniform, as in PEFT [resolved]. Combined: the B of the known clusters are averaged
    by their numbers of members, which is exact as well.
    """

    @property
    def has_drawn_a(self) -> bool:
        return True

    def start_in_common(self, layout: Layout) -> slice:
        return layout.part_a

    def scope(self, layout: Layout) -> slice:
        return slice(layout.size_a, layout.size)

    def shared(self, layout: Layout) -> Coordinates:
        return np.arange(layout.size_a, layout.size, dtype=np.int64)

    def background(self, cohort: Cohort, state: DeviceState) -> Vector:
        return self.first_vector(cohort, state.device)

    def inference(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return the common A with the mean of the known clusters' B."""
        return mean_adapter(self.experts(cohort, state))
