"""Path loss `free_space`: PL = 20 log10(4 pi d f / c), Friis.

With d in metres and f in GHz this is 20 log10 d + 20 log10 f + 32.45 dB.
"""

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from cosim.units import Metres
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.path_loss.base import Geometry, PathLoss


def free_space_loss_db(distance_m: ArrayLike, carrier_hz: float) -> NDArray[np.float64]:
    """Return 20 log10(4 pi d f / c), shape of `distance_m`, which must be above 0."""
    wavelength_m = SPEED_OF_LIGHT_MPS / carrier_hz
    loss_db: NDArray[np.float64] = 20.0 * np.log10(
        (4.0 * np.pi / wavelength_m) * np.asarray(distance_m, dtype=np.float64)
    )
    return loss_db


class FreeSpace(PathLoss):
    """Free space.

    Attributes:
        min_distance_m: nearer devices are counted as this far apart; the formula holds in the
            far field only. The default is an assumption of this project.
    """

    min_distance_m: Annotated[Metres, Field(gt=0)] = 1.0

    def loss_db(self, geometry: Geometry) -> NDArray[np.float64]:
        """20 log10(4 pi d f / c)."""
        distance_m = np.maximum(geometry.distance_m, self.min_distance_m)
        return free_space_loss_db(distance_m, geometry.carrier_hz)
