"""Compute `flops`: time = floating point operations / (rate * utilisation)."""

from typing import Annotated

from numpy.typing import ArrayLike
from pydantic import Field

from cosim.rng import Draws
from cosim.units import FlopsRange
from cosim.world.compute.base import Compute, Floats, Work


class Flops(Compute):
    """A device with a computing rate of its own.

    Attributes:
        rate_flops: (least, most) floating point operations per second, uniform over devices.
        utilisation: part of that rate that training reaches; 1 if the rate is a measured one.
    """

    rate_flops: FlopsRange
    utilisation: Annotated[float, Field(gt=0, le=1)] = 1.0

    def device_rate_flops(self, draws: Draws, device: ArrayLike) -> Floats:
        """Return the rate of each device, floating point operations per second."""
        least, most = self.rate_flops
        if isinstance(device, int):  # far quicker than the same number out of arrays
            drawn: Floats = draws.stretch("compute_rate", device, 0, 0, 1).item()
        else:
            drawn = draws.uniform("compute_rate", device)
        return least + drawn * (most - least)

    def time_s(self, draws: Draws, device: ArrayLike, work: Work) -> Floats:
        """Operations / (rate * utilisation)."""
        return work.flops / (self.device_rate_flops(draws, device) * self.utilisation)
