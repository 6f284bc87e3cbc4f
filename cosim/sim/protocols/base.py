"""A protocol: what devices do in a round, as generators that run on the event loop."""

from abc import abstractmethod
from collections.abc import Generator

import simpy

from cosim.plugin import Plugin
from cosim.sim.simulation import Simulation

Steps = Generator[simpy.Event, object, None]


class Protocol(Plugin):
    """Contract of family `protocol`; `sim/run.py` calls these in order, round after round.

    One object serves a whole run and is frozen: what must be kept between calls is in the
    `Simulation`.
    """

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
