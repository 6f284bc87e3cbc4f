"""An area: the region of the plane that devices are placed and move in."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin

LEAST_SIDE_M = 1e-6
"""The least size of what `Area.inset` leaves."""


@dataclass(frozen=True)
class Walk:
    """A walk of straight steps that the border mirrors.

    Attributes:
        at: how many steps are done at each corner, [K], never decreasing: 2.25 is a quarter into
            the third step. Every step's end is there; what is between is a touch of the border.
        xy_m: the corners [K, 2], without the point that the walk starts from.
        frame: the walker's axes at the end as columns, [2, 2]: turned over at every touch.
    """

    at: NDArray[np.float64]
    xy_m: NDArray[np.float64]
    frame: NDArray[np.float64]


class Area(Plugin):
    """Contract of family `area`. Coordinates are metres; the origin is the area's centre.

    An area is convex, so that a straight line between two of its points stays inside.
    """

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

    @abstractmethod
    def inset(self, margin_m: float) -> "Area":
        """Return the points that are at least `margin_m` from the border, as an area.

        A disc of that radius around any of them is inside this area.

        Raises:
            ValueError: there are none.
        """

    @abstractmethod
    def reflect(
        self,
        start_m: NDArray[np.float64],
        frame: NDArray[np.float64],
        steps_m: NDArray[np.float64],
    ) -> Walk:
        """Walk steps one after the other from a point inside; the border mirrors like a billiard.

        Steps are in the walker's own axes, and a touch of the border turns these over with the
        walk: step s moves the walker by `frame @ s`, and after a touch where the border's normal
        is n the frame is (I - 2 n n^T) frame. The billiard's flow keeps area times angle
        (Liouville's theorem). So a walker that starts at a uniform point with a frame of uniform
        angle has a uniform position and a frame of uniform angle at all times, whatever it walks.

        Args:
            start_m: the point [2] that the walk starts from, inside.
            frame: the walker's axes there as columns [2, 2], orthogonal.
            steps_m: the steps [n, 2], n at least 1.
        """

    def mean_distance_m(self) -> float:
        """Return the mean distance between two points that are uniform over the area.

        By quadrature to about 5e-4 relative, for any area; a kind with a closed form has its own.
        """
        return quadrature_mean_distance_m(self)


def too_narrow(margin_m: float, widest_m: float) -> ValueError:
    """Return the error of an area that has no point `margin_m` from its border."""
    return ValueError(
        f"expected a margin to the area's border below {widest_m} m, got {margin_m} m; "
        "make the area larger or the margin smaller"
    )


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
