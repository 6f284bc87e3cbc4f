"""Compute: how long a device takes for one local training, by formula, and what power it draws."""

from abc import abstractmethod
from dataclasses import dataclass

from cosim.plugin import Plugin
from cosim.rng import Draws
from cosim.units import Watts


@dataclass(frozen=True)
class Work:
    """One local training, as counted before it is run.

    Attributes:
        flops: floating point operations.
        num_parameters: parameters that are sent or trained (Q of P1's equation 7).
        num_samples: training samples gone through (|D|).
        batch_size: samples per step (B).
    """

    flops: float
    num_parameters: int
    num_samples: int
    batch_size: int


class Compute(Plugin):
    """Contract of family `compute`. Host time never enters."""

    power_w: Watts = 5.0

    @abstractmethod
    def time_s(self, draws: Draws, device: int, work: Work) -> float:
        """Return the simulated time that `device` takes for `work`."""
