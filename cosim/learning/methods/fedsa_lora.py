"""FedSA-LoRA (Guo et al. 2024, arXiv 2410.01463): A is shared, B stays with its device.

As published: A learns what is general and B what is special to a client; both are
trained, only A is sent and averaged. With its own B, B_i (sum_j w_j A_j) = sum_j w_j (B_i A_j):
each device averages exactly what the others' A make of its own B.
"""

from typing import ClassVar

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Vector
from cosim.learning.methods._average import Averaged, mean_adapter
from cosim.learning.methods.base import Cohort, Coordinates, DeviceState


class FedsaLora(Averaged):
    """Trains A and B, sends and averages A, and the head if there is one.

    All start from one A, as the server's first broadcast makes it. Combined [own choice, the paper
    knows one server]: a gateway tells another cluster its A; a device answers with its own B and
    the mean of the known clusters' A by their numbers of members. A server has no B, and answers as
    the base model does.
    """

    is_personal: ClassVar[bool] = True

    def shared(self, layout: Layout) -> Coordinates:
        head = np.arange(layout.part_head.start, layout.size, dtype=np.int64)
        return np.concatenate([np.arange(layout.size_a, dtype=np.int64), head])

    def background(self, cohort: Cohort, state: DeviceState) -> Vector:
        return state.vector

    def inference(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return the own B with the mean of the known clusters' A."""
        return mean_adapter(self.experts(cohort, state))
