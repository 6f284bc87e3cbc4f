"""Path loss `log_distance`: PL = PL0 + 10 n log10(d / d0).

The d^-2 of P1 (gain g = |h|^2 d^-2, d in metres) is exponent 2 with a reference loss of 0 dB.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.units import Decibels, Metres
from cosim.world.path_loss.base import Geometry, PathLoss
from cosim.world.path_loss.free_space import free_space_loss_db


class LogDistance(PathLoss):
    """Power law in distance.

    Attributes:
        exponent: n. The default is the lower end for urban cellular, 2.7 to 3.5 (Rappaport,
            "Wireless communications", 2nd ed., Table 4.2).
        reference_loss_db: PL0, the loss at `reference_m`; None for that of free space.
        reference_m: d0.
        min_distance_m: nearer devices are counted as this far apart. The default is an
            assumption of this project.
    """

    exponent: Annotated[float, Field(gt=0, le=20)] = 2.7
    reference_loss_db: Decibels | None = None
    reference_m: Annotated[Metres, Field(gt=0)] = 1.0
    min_distance_m: Annotated[Metres, Field(gt=0)] = 1.0

    def loss_db(self, geometry: Geometry) -> NDArray[np.float64]:
        """PL0 + 10 n log10(d / d0)."""
        distance_m = np.maximum(geometry.distance_m, self.min_distance_m)
        reference_db = (
            float(free_space_loss_db(self.reference_m, geometry.carrier_hz))
            if self.reference_loss_db is None
            else self.reference_loss_db
        )
        loss_db: NDArray[np.float64] = reference_db + 10.0 * self.exponent * np.log10(
            distance_m / self.reference_m
        )
        return loss_db
