"""Path loss: how much the mean power falls with distance."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin


@dataclass(frozen=True)
class Geometry:
    """Where the two ends of some links are; arrays of one broadcast shape [...].

    Attributes:
        distance_m: distance between the ends.
        carrier_hz: carrier frequency.
    """

    distance_m: NDArray[np.float64]
    carrier_hz: float


class PathLoss(Plugin):
    """Contract of family `path_loss`."""

    @abstractmethod
    def loss_db(self, geometry: Geometry) -> NDArray[np.float64]:
        """Return the path loss in dB, shape of `geometry.distance_m`; never infinite or NaN."""
