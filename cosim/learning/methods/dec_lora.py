"""Dec-LoRA (Ghiasvand et al. 2025, arXiv 2501.15361): gossip of LoRA over a graph, no server.

As published (Algorithm 1): all start from one adapter, A Gaussian and B zero; each client takes K
local steps (`learning.local.steps`), and then mixes A and B, each for itself, with a symmetric
doubly stochastic matrix Q over its neighbours. On random graphs Q = I - 2 L / (3 lambda_max(L)),
L the graph's Laplacian: a lazy mixing, which keeps more of the own adapter than Metropolis does.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from cosim.learning.adapter import Vector
from cosim.learning.methods._average import Averaged, average
from cosim.learning.methods._draw import gaussian_a
from cosim.learning.methods.base import Arrival, Cohort, DeviceState, Parts


class DecLora(Averaged):
    """Trains, sends and mixes all of A and B, and the head.

    It differs from `lora` in its start, Gaussian with variance 1 / d_in (the paper leaves the
    variance open), and in its mixing: Q = I - gossip_step (I - W), W the weights that the protocol
    gives. With Metropolis weights Q is symmetric and doubly stochastic as W is. On a graph where
    all have d neighbours it is the paper's Q for gossip_step = 2 (d + 1) / (3 lambda_max): 2/3 in a
    clique, 1/2 on a ring of even length; 1 is W itself. A server does not gossip: it mixes by W.
    """

    gossip_step: Annotated[float, Field(gt=0, le=1)] = 1.0

    def first_a(self, cohort: Cohort, device: int) -> Vector:
        return gaussian_a(cohort, None)

    def mixed(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Vector:
        return average(state.vector, self._lazy(cohort, state, arrivals))

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        return super().parts(cohort, state, self._lazy(cohort, state, arrivals))

    def _lazy(
        self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]
    ) -> list[Arrival]:
        step = 1.0 if state.device in cohort.servers else self.gossip_step
        return [replace(each, weight=step * each.weight) for each in arrivals]
