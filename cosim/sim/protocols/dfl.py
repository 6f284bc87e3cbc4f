"""Decentralised learning without clusters: train, then average with all neighbours of the plan.

    x_i <- sum_j W_ij x_j,  `mixing_steps` times after each local training

with the Metropolis weights W of the planned graph, which are symmetric and doubly stochastic: the
mean over the devices stays as it is, and what they differ by shrinks in each step at least by the
second largest magnitude of W's eigenvalues. One local step and one mixing step are decentralised
SGD (Lian et al., Can decentralized algorithms outperform centralized algorithms?, NeurIPS 2017), in
the order adapt, then combine; several of either are decentralised FedAvg (Sun, Li and Wang,
Decentralized federated averaging, IEEE TPAMI 2023; Liu, Chen and Zhang, Decentralized federated
learning: balancing communication and computing costs, 2022).
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from cosim.scenario.tree import Scenario
from cosim.sim.protocols._rounds import Synchronous, idle, send_update, train_and_send
from cosim.sim.protocols.base import Misfit, Steps
from cosim.sim.simulation import Simulation


class Dfl(Synchronous):
    """Synchronous rounds over all links of the plan.

    Attributes:
        mixing_steps: how many times devices send and average after each training. Each step sends
            again what the device then holds, so it costs an update over every link.
    """

    usual_planner: ClassVar[str] = "k_nearest"
    sends_anew: ClassVar[bool] = True

    mixing_steps: Annotated[int, Field(ge=1)] = 1

    def misfits(self, scenario: Scenario) -> Iterator[Misfit]:
        yield from super().misfits(scenario)
        if self.mixing_steps > 1 and not scenario.learning.method.mixes_again:
            yield (
                ("protocol", "mixing_steps"),
                "expected mixing_steps: 1 with a method that sends what its last training moved, "
                f"which a second step does not mix further, got {self.mixing_steps}",
            )

    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Let all train, send to their neighbours, and mix; the last mix is `aggregate`."""
        closes = self.closing(sim)
        self.take_in_late(sim, round)
        steps = [train_and_send(sim, device, round) for device in idle(sim)]
        yield from self.through(sim, steps, closes)
        for _ in range(self.mixing_steps - 1):
            if closes.processed:
                return
            self.aggregate(sim, round)
            steps = [send_update(sim, device, round) for device in idle(sim)]
            yield from self.through(sim, steps, closes)

    def aggregate(self, sim: Simulation, round: int) -> None:
        """Let every device average with its neighbours."""
        self.average(sim, round)
