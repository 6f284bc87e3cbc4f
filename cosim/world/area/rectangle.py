"""Area `rectangle`: all points at most half a width and half a height from the origin."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.units import Metres
from cosim.world.area.base import LEAST_SIDE_M, Area, Walk, too_narrow


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

    def inset(self, margin_m: float) -> "Rectangle":
        """The rectangle whose sides are shorter by twice the margin."""
        widest_m = min(self.width_m, self.height_m) / 2.0
        if not margin_m <= widest_m - LEAST_SIDE_M / 2.0:
            raise too_narrow(margin_m, widest_m)
        return Rectangle(
            width_m=self.width_m - 2.0 * margin_m, height_m=self.height_m - 2.0 * margin_m
        )

    def reflect(
        self,
        start_m: NDArray[np.float64],
        frame: NDArray[np.float64],
        steps_m: NDArray[np.float64],
    ) -> Walk:
        """Unfold: walk straight through a plane of mirrored copies, then fold the corners back."""
        size_m = np.array([self.width_m, self.height_m])
        # From the rectangle's lower left corner, in a plane of copies that the sides part.
        unfolded_m = np.cumsum(np.vstack([start_m + size_m / 2.0, steps_m @ frame.T]), axis=0)
        copy = np.floor(unfolded_m / size_m)  # [n + 1, 2], which copy each step's end is in
        at = np.arange(1.0, steps_m.shape[0] + 1.0)
        corners_m = unfolded_m[1:]
        crossed = np.abs(np.diff(copy, axis=0)).astype(np.int64)
        if crossed.any():
            touches = [
                _crossings(unfolded_m[:, axis], copy[:, axis], crossed[:, axis], size_m[axis])
                for axis in range(2)
            ]
            at = np.sort(np.concatenate([at, *touches]))
            ends = np.arange(unfolded_m.shape[0])
            corners_m = np.stack([np.interp(at, ends, axis_m) for axis_m in unfolded_m.T], axis=1)
        within_m = corners_m % (2.0 * size_m)
        folded_m = np.minimum(within_m, 2.0 * size_m - within_m) - size_m / 2.0
        turned = np.where(copy[-1] % 2.0 == 1.0, -1.0, 1.0)
        return Walk(at, folded_m, turned[:, np.newaxis] * frame)

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


def _crossings(
    unfolded_m: NDArray[np.float64],
    copy: NDArray[np.float64],
    crossed: NDArray[np.int64],
    size_m: float,
) -> NDArray[np.float64]:
    """Return how many steps are done at each crossing of a line between copies, on one axis."""
    step = np.repeat(np.arange(crossed.size), crossed)
    nth = np.arange(step.size) - np.repeat(np.cumsum(crossed) - crossed, crossed)
    begin_m, end_m = unfolded_m[step], unfolded_m[step + 1]
    line = np.where(end_m > begin_m, copy[step] + 1.0 + nth, copy[step] - nth)
    share = (line * size_m - begin_m) / (end_m - begin_m)
    return np.asarray(step + np.clip(share, 0.0, 1.0), dtype=np.float64)
