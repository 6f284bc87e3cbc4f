"""An area: the region of the plane that devices are placed and move in."""

from abc import abstractmethod
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin


class Area(Plugin):
    """Contract of family `area`. Coordinates are metres; the origin is the area's centre."""

    @abstractmethod
    def place(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map uniform draws [..., 2] in [0, 1) to points [..., 2] uniform over the area."""

    @abstractmethod
    def contains(self, points_m: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for points [..., 2] whether each is inside or on the border, [...]."""

    @abstractmethod
    def extent_m(self) -> tuple[float, float, float, float]:
        """Return the bounding box (x_min, y_min, x_max, y_max)."""

    @abstractmethod
    def outline_m(self) -> NDArray[np.float64]:
        """Return a closed polygon [K, 2] that draws the border."""

    @abstractmethod
    def size_m2(self) -> float:
        """Return the area's size in square metres."""

    def mean_distance_m(self) -> float:
        """Return the mean distance between two points that are uniform over the area.

        By quadrature to about 5e-4 relative, for any area; a kind with a closed form has its own.
        """
        return quadrature_mean_distance_m(self)


@lru_cache(maxsize=64)
def quadrature_mean_distance_m(area: Area) -> float:
    """Return `area`'s mean distance by the mean over a Kronecker lattice of pairs of points.

    The lattice in [0, 1)^4 steps by the powers of 1/phi, phi the root of x^5 = x + 1 (Roberts,
    "The unreasonable effectiveness of quasirandom sequences", 2018).
    """
    phi = 1.1673039782614187
    steps = phi ** -np.arange(1.0, 5.0)
    u = (0.5 + np.arange(1, 2**17 + 1)[:, np.newaxis] * steps) % 1.0  # [131072, 4]
    legs_m = area.place(u[:, :2]) - area.place(u[:, 2:])
    return float(np.mean(np.hypot(legs_m[:, 0], legs_m[:, 1])))
