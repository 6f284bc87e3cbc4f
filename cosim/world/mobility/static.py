"""Mobility `static`: a device stays where it was placed."""

from collections.abc import Iterator

import numpy as np

from cosim.rng import Draws
from cosim.units import Metres
from cosim.world.mobility.base import Knots, Member, Mobility


class Static(Mobility):
    """A point that does not move.

    Attributes:
        position_m: the point (x, y), the same for every device of a group; None for points
            uniform over the area, each device its own.
    """

    position_m: tuple[Metres, Metres] | None = None

    def max_speed_mps(self, member: Member) -> float:
        """No speed."""
        return 0.0

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield one knot.

        Raises:
            ValueError: the given position is outside the area.
        """
        if self.position_m is None:
            xy_m = member.area.place(draws.generator("static_placement", member.device).random(2))
        else:
            xy_m = np.array(self.position_m)
            if not member.area.contains(xy_m):
                raise ValueError(
                    f"position of device {member.device}: expected a point in the area "
                    f"(inside {member.area.extent_m()} m), got {self.position_m} m"
                )
        yield Knots(np.zeros(1), xy_m[np.newaxis])
