"""Mobility `manhattan`: along the streets of a grid, turning at crossings by chance.

3GPP TR 36.885, annex A.1 (V2X, urban case): straight on with probability 0.5, left and right with
0.25 each, in a grid of 433 m x 250 m; the same probabilities are in ETSI TR 101 112 (UMTS 30.03),
annex B. The standards say nothing of the grid's border. Here a crossing that lacks an arm, as on
the border, is left by each of the other arms equally likely, and a dead end is left backwards.

That makes the start stationary in closed form. At every crossing the probabilities into each arm
add up to one (l + r + s = 1 at a full one, (n - 1) / (n - 1) at one of n arms), so the chain of
blocks walked is doubly stochastic and its law uniform over all blocks and both ways. At a time,
blocks count by how long they take:

    position : uniform along all streets, either way equally likely
    speed    : of density ~ 1/v, that is v0^(1-u) v1^u
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from cosim.rng import Draws
from cosim.units import Metres
from cosim.world.mobility._legs import LegSpeed, between, stretch_sizes
from cosim.world.mobility._streets import HEADINGS, Streets, streets_of
from cosim.world.mobility.base import Knots, Member, Mobility

Share = Annotated[float, Field(ge=0, le=1)]


class Manhattan(Mobility):
    """Streets in a grid with a stationary start.

    The grid has as many whole blocks as fit into the area and is centred in it.

    Attributes:
        block_width_m: length of a block along x. Default: TR 36.885.
        block_height_m: length of a block along y. Default: TR 36.885.
        left: probability to turn left at a full crossing.
        right: probability to turn right; straight on is the rest.
        speed_mps: speed in each block, uniform; v0 > 0. Default: 60 km/h of TR 36.885. A new
            speed for each block is an assumption of ours.
    """

    block_width_m: Annotated[Metres, Field(gt=0)] = 433.0
    block_height_m: Annotated[Metres, Field(gt=0)] = 250.0
    left: Share = 0.25
    right: Share = 0.25
    speed_mps: LegSpeed = (60.0 / 3.6, 60.0 / 3.6)

    @model_validator(mode="after")
    def _probabilities(self) -> "Manhattan":
        if self.left + self.right > 1.0:
            raise PydanticCustomError(
                "turns",
                "expected left + right of at most 1 (straight on is the rest), got {left} + "
                "{right}",
                {"left": self.left, "right": self.right},
            )
        return self

    def max_speed_mps(self, member: Member) -> float:
        """The most of the speed range."""
        return self.speed_mps[1]

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield the point at time 0 and the next crossing, then blocks for ever.

        Raises:
            ValueError: the area has no room for streets.
        """
        streets = streets_of(member.area, (self.block_width_m, self.block_height_m))
        generator = draws.generator("manhattan", member.device)
        place, mark = generator.random(2).tolist()
        crossing, heading, share = streets.uniform_point(place)
        walked_m = share * streets.block_m[heading % 2]
        here_m = streets.crossings_m[crossing] + walked_m * HEADINGS[heading]
        crossing = streets.following[crossing][heading]
        ahead_m = streets.block_m[heading % 2] - walked_m
        v0, v1 = self.speed_mps
        t_s = ahead_m / (v0 ** (1.0 - mark) * v1**mark)
        yield Knots(np.array([0.0, t_s]), np.stack([here_m, streets.crossings_m[crossing]]))
        for size in stretch_sizes():
            u = generator.random((size, 2))
            headings, crossings = self._blocks(streets, crossing, heading, u[:, 0])
            heading, crossing = headings[-1], crossings[-1]
            length_m = np.asarray(streets.block_m)[np.asarray(headings) % 2]
            ends_s = np.cumsum(np.append(t_s, length_m / between(self.speed_mps, u[:, 1])))
            t_s = float(ends_s[-1])
            yield Knots(ends_s[1:], streets.crossings_m[crossings])

    def _blocks(
        self, streets: Streets, crossing: int, heading: int, u: NDArray[np.float64]
    ) -> tuple[list[int], list[int]]:
        """Return the headings of the blocks drawn by `u` [n] and the crossings they end at."""
        left_from, right_from = 1.0 - self.left - self.right, 1.0 - self.right
        ways, following = streets.ways, streets.following
        headings, crossings = [], []
        for draw in u.tolist():
            open_to = ways[4 * crossing + heading]
            if len(open_to) == 3:
                heading = open_to[(draw >= left_from) + (draw >= right_from)]
            else:
                heading = open_to[int(draw * len(open_to))]
            crossing = following[crossing][heading]
            headings.append(heading)
            crossings.append(crossing)
        return headings, crossings
