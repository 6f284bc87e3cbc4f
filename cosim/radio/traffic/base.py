"""Background traffic: what devices send besides model updates, as bursts in time."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from cosim.plugin import Plugin
from cosim.rng import Draws


@dataclass(frozen=True, slots=True)
class Burst:
    """Bytes that are handed to the radio at one instant.

    Attributes:
        t_s: when, from 0 s on.
        num_bytes: how many, at least 1.
    """

    t_s: float
    num_bytes: int


class Traffic(Plugin):
    """Contract of family `traffic`."""

    @abstractmethod
    def bursts(self, draws: Draws, device: int) -> Iterator[Burst]:
        """Yield a device's bursts in time, which may go on for ever; a pure function.

        Args:
            draws: the scenario's random numbers, to be addressed by (purpose, device).
            device: who sends.
        """
