"""Mobility `static`: a device stays where it was placed.

Placements of a group: one point for all (`position`), given points (`positions`), points uniform
over the area, or a regular grid. A Poisson placement is the uniform one in a group with the key
`density`, whose count is Poisson: given the count of a homogeneous Poisson process, its points are
independent and uniform.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from cosim.rng import Draws
from cosim.units import Coordinate
from cosim.world.area.base import Area
from cosim.world.mobility._lattice import lattice_m
from cosim.world.mobility.base import Knots, Member, Mobility, Survey

_POISSON = (
    "expected one of uniform, grid, got 'poisson'; for points of a Poisson process give the group "
    "the key `density`, such as `density: 100 /km2`, in place of `count`"
)
Point = tuple[Coordinate, Coordinate]


class Static(Mobility):
    """A point that does not move.

    Attributes:
        position_m: the point (x, y), the same for every device of a group.
        positions_m: the point of each device of a group, in order. There are as many devices
            unless the group's count says fewer.
        placement: where the points are that are not given: each device's own, uniform over the
            area, or all together on a regular grid over it (see `lattice_m`).
    """

    position_m: Point | None = None
    positions_m: Annotated[tuple[Point, ...], Field(min_length=1)] | None = None
    placement: Literal["uniform", "grid"] = "uniform"

    @field_validator("placement", mode="before")
    @classmethod
    def _not_poisson(cls, placement: Any) -> Any:
        if placement == "poisson":
            raise PydanticCustomError("poisson", "{reason}", {"reason": _POISSON})
        return placement

    @model_validator(mode="after")
    def _one_placement(self) -> "Static":
        given = {
            "position": self.position_m is not None,
            "positions": self.positions_m is not None,
            "placement: grid": self.placement == "grid",
        }
        found = [key for key, is_given in given.items() if is_given]
        if len(found) > 1:
            raise PydanticCustomError(
                "contradiction",
                "expected at most one of position, positions and placement: grid, got {found}",
                {"found": " and ".join(found)},
            )
        return self

    def max_speed_mps(self, member: Member) -> float:
        """No speed."""
        return 0.0

    def survey(self, area: Area, count: int, data_root: Path) -> Survey:
        """Nothing moves; that given points are in the area is told of each where it is written."""
        return Survey(0.0, math.inf)

    def num_members(self, data_root: Path) -> int | None:
        """As many as points are given one by one."""
        return None if self.positions_m is None else len(self.positions_m)

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield one knot.

        Raises:
            ValueError: the device's point is outside the area, or no point is given for it.
        """
        given_m = self._given_m(member)
        if given_m is not None:
            xy_m = np.array(given_m)
            if not member.area.contains(xy_m):
                raise ValueError(
                    f"position of device {member.device}: expected a point in the area "
                    f"(inside {member.area.extent_m()} m), got {given_m} m"
                )
        else:
            xy_m = self._placed_m(draws, member)
        yield Knots(np.zeros(1), xy_m[np.newaxis])

    def _given_m(self, member: Member) -> Point | None:
        if self.positions_m is None:
            return self.position_m
        if member.count > len(self.positions_m):
            raise ValueError(
                f"positions of group {member.group}: expected a point for each of its "
                f"{member.count} devices, got {len(self.positions_m)}; give the others or leave "
                "out the group's count"
            )
        return self.positions_m[member.index]

    def _placed_m(self, draws: Draws, member: Member) -> NDArray[np.float64]:
        if self.placement == "grid":
            on_grid: NDArray[np.float64] = lattice_m(member.area, member.count)[member.index]
            return on_grid
        return member.area.place(draws.generator("static_placement", member.device).random(2))
