"""Compute `flops`: time = floating point operations / (rate * utilisation)."""

from typing import Annotated

from pydantic import Field

from cosim.rng import Draws
from cosim.units import FlopsRange
from cosim.world.compute.base import Compute, Work


class Flops(Compute):
    """A device with a computing rate of its own.

    Attributes:
        rate_flops: (least, most) floating point operations per second, uniform over devices.
        utilisation: part of that rate that training reaches; 1 if the rate is a measured one.
    """

    rate_flops: FlopsRange
    utilisation: Annotated[float, Field(gt=0, le=1)] = 1.0

    def device_rate_flops(self, draws: Draws, device: int) -> float:
        """Return the rate of `device`, floating point operations per second."""
        least, most = self.rate_flops
        return least + draws.generator("compute_rate", device).random() * (most - least)

    def time_s(self, draws: Draws, device: int, work: Work) -> float:
        """Operations / (rate * utilisation)."""
        return work.flops / (self.device_rate_flops(draws, device) * self.utilisation)
