"""A protocol: what devices do in a round, as generators that run on the event loop."""

from abc import abstractmethod
from collections.abc import Generator

import simpy

from cosim.plugin import Plugin
from cosim.scenario.tree import Scenario
from cosim.sim.simulation import Simulation

Steps = Generator[simpy.Event, object, None]


class Protocol(Plugin):
    """Contract of family `protocol`; `sim/run.py` calls these in order, round after round.

    Every run works on a copy of its own: what a protocol keeps between calls it keeps in private
    attributes. Where devices do not wait for each other a round is a stretch of such a run, at
    whose end it may be planned again and judged.
    """

    def servers(self, scenario: Scenario) -> frozenset[int]:
        """Return the devices that hold no data and never train; they aggregate for others.

        Raises:
            ValueError: the scenario has no devices that could be; the message says what to write.
        """
        return frozenset()

    def judged(self, sim: Simulation) -> list[int]:
        """Return the devices whose models are evaluated, ascending: all that take part."""
        return sim.alive_devices()

    def until_next_round(self, sim: Simulation) -> Steps:
        """Return when the next round may begin; at once, if the protocol does not say."""
        yield from ()

    @abstractmethod
    def train_and_send(self, sim: Simulation, round: int) -> Steps:
        """Let devices train, and send their updates; return when the round closes."""

    @abstractmethod
    def aggregate(self, sim: Simulation, round: int) -> None:
        """Let devices aggregate what has arrived."""

    @abstractmethod
    def exchange(self, sim: Simulation, round: int) -> Steps:
        """Let clusters exchange, if it is due in this round."""
