"""Area `disc`: all points at most a radius from the origin."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.units import Metres
from cosim.world.area.base import Area

_OUTLINE_POINTS = 180


class Disc(Area):
    """A disc around the origin."""

    radius_m: Annotated[Metres, Field(gt=0)]

    def place(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Radius R sqrt(u0), angle = 2 pi u1: uniform, since P(r < x) = (x / R)^2."""
        radius_m = self.radius_m * np.sqrt(u[..., 0])
        angle = 2.0 * np.pi * u[..., 1]
        return np.stack([radius_m * np.cos(angle), radius_m * np.sin(angle)], axis=-1)

    def contains(self, points_m: NDArray[np.float64]) -> NDArray[np.bool_]:
        """x^2 + y^2 <= R^2, to a rounding error."""
        distance_m = np.hypot(points_m[..., 0], points_m[..., 1])
        inside: NDArray[np.bool_] = distance_m <= self.radius_m * (1.0 + 1e-12)
        return inside

    def extent_m(self) -> tuple[float, float, float, float]:
        """The square of side 2 R."""
        return -self.radius_m, -self.radius_m, self.radius_m, self.radius_m

    def outline_m(self) -> NDArray[np.float64]:
        """A polygon of 180 sides on the circle."""
        angle = np.linspace(0.0, 2.0 * np.pi, _OUTLINE_POINTS + 1)
        return self.radius_m * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    def size_m2(self) -> float:
        """Pi R^2."""
        return math.pi * self.radius_m**2

    def mean_distance_m(self) -> float:
        """128 R / (45 pi): disc line picking."""
        return 128.0 * self.radius_m / (45.0 * math.pi)
