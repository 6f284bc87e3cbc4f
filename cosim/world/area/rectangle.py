"""Area `rectangle`: all points at most half a width and half a height from the origin."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.units import Metres
from cosim.world.area.base import Area


class Rectangle(Area):
    """An axis-parallel rectangle around the origin."""

    width_m: Annotated[Metres, Field(gt=0)]
    height_m: Annotated[Metres, Field(gt=0)]

    def place(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """(u - 1/2) times width and height."""
        points_m: NDArray[np.float64] = (u - 0.5) * np.array([self.width_m, self.height_m])
        return points_m

    def contains(self, points_m: NDArray[np.float64]) -> NDArray[np.bool_]:
        """|x| <= width / 2 and |y| <= height / 2, to a rounding error."""
        half_m = np.array([self.width_m, self.height_m]) * (0.5 * (1.0 + 1e-12))
        inside: NDArray[np.bool_] = np.all(np.abs(points_m) <= half_m, axis=-1)
        return inside

    def extent_m(self) -> tuple[float, float, float, float]:
        """The rectangle itself."""
        return -self.width_m / 2, -self.height_m / 2, self.width_m / 2, self.height_m / 2

    def outline_m(self) -> NDArray[np.float64]:
        """The four corners and the first again."""
        left, bottom, right, top = self.extent_m()
        corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        return np.array(corners)

    def size_m2(self) -> float:
        """Width times height."""
        return self.width_m * self.height_m

    def mean_distance_m(self) -> float:
        """Rectangle line picking (Santalo, "Integral geometry", 1976, eq. 4.32).

        With sides a, b and diagonal d: [a^3/b^2 + b^3/a^2 + d (3 - a^2/b^2 - b^2/a^2)
        + 5/2 (b^2/a ln((a + d)/b) + a^2/b ln((b + d)/a))] / 15.
        """
        a, b = self.width_m, self.height_m
        d = math.hypot(a, b)
        straight = a**3 / b**2 + b**3 / a**2 + d * (3.0 - (a / b) ** 2 - (b / a) ** 2)
        logarithms = b**2 / a * math.log((a + d) / b) + a**2 / b * math.log((b + d) / a)
        return (straight + 2.5 * logarithms) / 15.0
