"""A protocol: what devices do in a round, as generators that run on the event loop."""

from abc import abstractmethod
from collections.abc import Generator, Iterator
from typing import ClassVar

import numpy as np
import simpy

from cosim.plugin import Plugin
from cosim.scenario.document import Path
from cosim.scenario.tree import Scenario
from cosim.sim.simulation import Simulation

Steps = Generator[simpy.Event, object, None]

Misfit = tuple[Path, str]
"""The path of a scenario's key, and what is wrong there."""


class Protocol(Plugin):
    """Contract of family `protocol`; `sim/run.py` calls these in order, round after round.

    Every run works on a copy of its own: what a protocol keeps between calls it keeps in private
    attributes. Where devices do not wait for each other a round is a stretch of such a run, at
    whose end it may be planned again and judged.

    Attributes:
        usual_planner: the planner kind of a scenario that names none.
        closes_rounds: whether the updates of a round are sent in it, so that how long they take
            tells a controller what to do in the next.
        sends_anew: whether devices that have sent their update in a round send it to neighbours
            that a plan gives them in the middle of it (`topology.in_flight: migrate`).
    """

    usual_planner: ClassVar[str] = "agnes"
    closes_rounds: ClassVar[bool] = False
    sends_anew: ClassVar[bool] = False

    def servers(self, scenario: Scenario) -> frozenset[int]:
        """Return the devices that hold no data and never train; they aggregate for others.

        Raises:
            ValueError: the scenario has no devices that could be; the message says what to write.
        """
        return frozenset()

    @property
    def sends_movements(self) -> bool:
        """Whether devices send by how much a training has moved them, and not where it ended."""
        return False

    def misfits(self, scenario: Scenario) -> Iterator[Misfit]:
        """Yield why this protocol does not go with the rest of a scenario, and what would do."""
        yield from ()

    def judged(self, sim: Simulation) -> list[int]:
        """Return the devices whose models are evaluated, ascending: all that take part."""
        return sim.alive_devices()

    def control(self, sim: Simulation, round: int) -> None:
        """Have the controller decide on a round that begins, before anybody trains or sends.

        All that take part are shown to it, with the links that the plan gives them.
        """
        links = sim.plan.links
        both = sim.alive[links.src] & sim.alive[links.dst]
        devices = [device for device in sim.alive_devices() if device not in sim.scenario.servers]
        sim.control(round, devices, np.flatnonzero(both & np.isin(links.src, devices)))

    def until_next_round(self, sim: Simulation) -> Steps:
        """Return when the next round may begin; at once, if the protocol does not say."""
        yield from ()

    @abstractmethod
    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Let devices train, and send their updates; return when the round closes."""

    def aggregate(self, sim: Simulation, round: int) -> None:
        """Let devices aggregate what has arrived; nothing where they do so as it arrives."""

    def exchange(self, sim: Simulation, round: int) -> Steps:
        """Let clusters exchange, if it is due in this round; nothing without such exchanges."""
        yield from ()
