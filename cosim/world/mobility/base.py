"""Mobility: a device's path as knots that are joined by straight lines at constant speed."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin
from cosim.rng import Draws
from cosim.world.area.base import Area


@dataclass(frozen=True)
class Knots:
    """A stretch of a path: at `t_s[k]` the device is at `xy_m[k]`; between knots it moves evenly.

    Attributes:
        t_s: times [K], at least one, never decreasing.
        xy_m: points [K, 2].
    """

    t_s: NDArray[np.float64]
    xy_m: NDArray[np.float64]


class Mobility(Plugin):
    """Contract of family `mobility`: every model is a path of straight legs.

    Speed is constant on a leg, so positions, distances and the Doppler phase between two devices
    are exact at any time and cost nothing to look ahead.
    """

    @property
    @abstractmethod
    def max_speed_mps(self) -> float:
        """The largest speed that a device can have; 0 if it never moves.

        It bounds a link's Doppler shift, and so how often the channel has to be sampled.
        """

    @abstractmethod
    def path(self, draws: Draws, device: int, area: Area) -> Iterator[Knots]:
        """Yield the device's path from time 0 on, stretch after stretch.

        The first knot is at time 0. Stretches follow on in time and may go on for ever; a path
        that ends stays at its last point. Reading further never changes what was yielded.

        Args:
            draws: the scenario's random numbers, to be addressed by (purpose, device, index).
            device: the device's number.
            area: where it may be.
        """
