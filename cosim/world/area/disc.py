"""Area `disc`: all points at most a radius from the origin."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.units import Metres
from cosim.world.area.base import LEAST_SIDE_M, Area, Walk, too_narrow

_OUTLINE_POINTS = 180
_ROUNDING = 1.0 + 1e-12  # of the radius: still on the border
# Shortest chord between two touches of the border, in radii: a walk along the border is a polygon
# of such chords instead of touches without end. It leaves the disc by less than `contains` allows.
_LEAST_CHORD = 1e-6
_FIRST_RUN, _LONGEST_RUN = 8, 512  # steps tried at once until one leaves the disc


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
        inside: NDArray[np.bool_] = distance_m <= self.radius_m * _ROUNDING
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

    def inset(self, margin_m: float) -> "Disc":
        """The disc whose radius is smaller by the margin."""
        if not margin_m <= self.radius_m - LEAST_SIDE_M:
            raise too_narrow(margin_m, self.radius_m)
        return Disc(radius_m=self.radius_m - margin_m)

    def reflect(
        self,
        start_m: NDArray[np.float64],
        frame: NDArray[np.float64],
        steps_m: NDArray[np.float64],
    ) -> Walk:
        """Runs of steps that stay inside at once; a step that leaves, from chord to chord."""
        here_m, done, run = start_m, 0, _FIRST_RUN
        at: list[NDArray[np.float64]] = []
        corners_m: list[NDArray[np.float64]] = []
        while done < steps_m.shape[0]:
            tried_m = here_m + np.cumsum(steps_m[done : done + run] @ frame.T, axis=0)
            outside = ~self.contains(tried_m)
            num_inside = int(outside.argmax()) if outside.any() else outside.size
            at.append(np.arange(done + 1.0, done + num_inside + 1.0))
            corners_m.append(tried_m[:num_inside])
            if num_inside:
                here_m = tried_m[num_inside - 1]
            done += num_inside
            run = min(2 * run, _LONGEST_RUN)
            if num_inside < outside.size:
                share, touched_m, frame = self._chords(here_m, frame, steps_m[done])
                at.append(done + share)
                corners_m.append(touched_m)
                here_m = touched_m[-1]
                done, run = done + 1, _FIRST_RUN
        return Walk(np.concatenate(at), np.concatenate(corners_m), frame)

    def _chords(
        self, start_m: NDArray[np.float64], frame: NDArray[np.float64], step_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the shares of one step at its touches and end [K], corners [K, 2] and frame."""
        # Plain numbers: there are too few of them at a time for arrays to be fast.
        x, y = start_m.tolist()
        (f_xx, f_xy), (f_yx, f_yy) = frame.tolist()
        along_x, along_y = step_m.tolist()
        dx, dy = f_xx * along_x + f_xy * along_y, f_yx * along_x + f_yy * along_y
        length_m = math.hypot(dx, dy)
        dx, dy = dx / length_m, dy / length_m
        done_m = 0.0
        corners = []
        while True:
            # The border is where |p + c d| = R: c^2 + 2 c p.d - (R^2 - |p|^2) = 0.
            outwards_m = x * dx + y * dy
            inside_m2 = max(self.radius_m**2 - x * x - y * y, 0.0)
            root_m = math.sqrt(outwards_m**2 + inside_m2)
            # Of the two forms of the root the one that does not cancel.
            ahead_m = inside_m2 / (outwards_m + root_m) if outwards_m > 0 else root_m - outwards_m
            chord_m = max(ahead_m, _LEAST_CHORD * self.radius_m)
            if done_m + chord_m >= length_m:
                break
            done_m += chord_m
            x, y = x + chord_m * dx, y + chord_m * dy
            distance_m = math.hypot(x, y)
            normal_x, normal_y = x / distance_m, y / distance_m
            x, y = self.radius_m * normal_x, self.radius_m * normal_y
            # The mirror I - 2 n n^T, on the direction and on both axes.
            m_xx, m_yy = 1.0 - 2.0 * normal_x**2, 1.0 - 2.0 * normal_y**2
            m_xy = -2.0 * normal_x * normal_y
            dx, dy = m_xx * dx + m_xy * dy, m_xy * dx + m_yy * dy
            f_xx, f_yx = m_xx * f_xx + m_xy * f_yx, m_xy * f_xx + m_yy * f_yx
            f_xy, f_yy = m_xx * f_xy + m_xy * f_yy, m_xy * f_xy + m_yy * f_yy
            corners.append((done_m / length_m, x, y))
        left_m = length_m - done_m
        corners.append((1.0, x + left_m * dx, y + left_m * dy))
        table = np.array(corners)
        return table[:, 0], table[:, 1:], np.array([[f_xx, f_xy], [f_yx, f_yy]])

    def mean_distance_m(self) -> float:
        """128 R / (45 pi): disc line picking."""
        return 128.0 * self.radius_m / (45.0 * math.pi)
