"""Mobility `circular`: round and round at a constant speed.

A path has straight legs, so the circle is a regular polygon of n sides. Its perimeter is the
circle's circumference, which makes the speed and the period 2 pi r / v exact: with x = pi / n its
corners are at r x / sin x, beyond the circle by about r x^2 / 6, and its sides' middles at
r x / tan x, inside by about r x^2 / 3. n is chosen so that no point is farther than `deviation`
from the circle.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.rng import Draws
from cosim.units import Coordinate, Metres, SpeedRange
from cosim.world.area.base import Area
from cosim.world.mobility._legs import between, stretch_sizes
from cosim.world.mobility.base import Knots, Member, Mobility

_FEWEST_SIDES = 3
_MOST_SIDES = 1_000_000


class Circular(Mobility):
    """Motion on a circle from a uniform phase.

    Attributes:
        radius_m: the circle's radius r.
        centre_m: its centre (x, y).
        speed_mps: speed of each device, uniform, kept for ever. Default: walking.
        clockwise: which way round.
        deviation_m: how far the path may be from the circle. Default: 1 cm, a tenth of a
            wavelength at 3 GHz.
    """

    radius_m: Annotated[Metres, Field(gt=0)]
    centre_m: tuple[Coordinate, Coordinate] = (0.0, 0.0)
    speed_mps: SpeedRange = (0.5, 1.5)
    clockwise: bool = False
    deviation_m: Annotated[Metres, Field(gt=0)] = 0.01

    def max_speed_mps(self, member: Member) -> float:
        """The most of the speed range."""
        return self.speed_mps[1]

    def num_sides(self) -> int:
        """Return n, for which r (1 - x / tan x) <= r x^2 / 2.5 <= deviation at x = pi / n.

        The first bound holds up to x = pi / 3, the triangle.
        """
        most = math.sqrt(2.5 * self.deviation_m / self.radius_m)
        return max(_FEWEST_SIDES, math.ceil(math.pi / most))

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield the point at time 0, then corner after corner for ever; one point at speed 0.

        Raises:
            ValueError: the circle leaves the area.
        """
        corners_m = _corners_m(self, member.area)
        u = draws.generator("circular", member.device).random(2)
        speed_mps = float(between(self.speed_mps, u[1:])[0])
        num_sides = len(corners_m)
        first, share = divmod(float(u[0]) * num_sides, 1.0)
        side = int(first)
        ahead_m = corners_m[(side + 1) % num_sides]
        here_m = corners_m[side] + share * (ahead_m - corners_m[side])
        yield Knots(np.zeros(1), here_m[np.newaxis])
        if speed_mps == 0.0:
            return
        side_s = 2.0 * math.pi * self.radius_m / num_sides / speed_mps
        done = 0
        for size in stretch_sizes():
            sides = np.arange(done + 1, done + size + 1)
            t_s = np.asarray((sides - share) * side_s, dtype=np.float64)
            yield Knots(t_s, corners_m[(side + sides) % num_sides])
            done += size


@lru_cache(maxsize=64)
def _corners_m(circle: Circular, area: Area) -> NDArray[np.float64]:
    """Return the polygon's corners [n, 2] in the order that they are met."""
    num_sides = circle.num_sides()
    if num_sides > _MOST_SIDES:
        raise ValueError(
            f"expected a circle of at most {_MOST_SIDES} straight sides, got {num_sides} for "
            f"radius {circle.radius_m:g} m and deviation {circle.deviation_m:g} m; make the "
            "deviation larger"
        )
    half = math.pi / num_sides
    angle = 2.0 * half * np.arange(num_sides) * (-1.0 if circle.clockwise else 1.0)
    corner_m = circle.radius_m * half / math.sin(half)
    corners_m = np.array(circle.centre_m) + corner_m * np.stack(
        [np.cos(angle), np.sin(angle)], axis=1
    )
    if not area.contains(corners_m).all():
        raise ValueError(
            f"expected a circle inside the area (within {area.extent_m()} m), got radius "
            f"{circle.radius_m} m about {circle.centre_m} m with corners up to "
            f"{corner_m - circle.radius_m:.2g} m beyond it; make it smaller"
        )
    return corners_m
