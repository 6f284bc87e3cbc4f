"""Compute `paper`: time = alpha Q |D| / B, equation (7) of P1."""

from typing import Annotated

from numpy.typing import ArrayLike
from pydantic import Field

from cosim.rng import Draws
from cosim.units import Seconds
from cosim.world.compute.base import Compute, Floats, Work


class Paper(Compute):
    """P1's model: the same for every device.

    Attributes:
        alpha_s: alpha, seconds for one parameter in one step.
    """

    alpha_s: Annotated[Seconds, Field(gt=0)]

    def time_s(self, draws: Draws, device: ArrayLike, work: Work) -> Floats:
        """Alpha * parameters * samples / batch size."""
        return self.alpha_s * work.num_parameters * work.num_samples / work.batch_size
