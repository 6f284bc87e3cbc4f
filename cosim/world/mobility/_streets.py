"""Streets: a grid of them in an area, as a graph of crossings."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from cosim.world.area.base import Area

# Headings are quarter turns to the left from x: the way on is +0, left +1, back +2, right +3.
HEADINGS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
_MOST_CROSSINGS = 1_000_000


@dataclass(frozen=True, eq=False)
class Streets:
    """A grid of streets.

    Attributes:
        crossings_m: where two streets cross, [C, 2].
        next: the crossing that follows in each heading, -1 where there is no street, [C, 4].
        block_m: length of a block along x and along y.
    """

    crossings_m: NDArray[np.float64]
    next: NDArray[np.int64]
    block_m: tuple[float, float]

    @cached_property
    def ways(self) -> list[tuple[int, ...]]:
        """Headings that one who comes to crossing c by heading h may take, at 4 c + h.

        On, left and right as far as there are streets; back at a dead end.
        """
        open_to = (self.next >= 0).tolist()
        ways = []
        for arms in open_to:
            for heading in range(4):
                on = [(heading + turn) % 4 for turn in (0, 1, 3)]
                ways.append(tuple(h for h in on if arms[h]) or ((heading + 2) % 4,))
        return ways

    @cached_property
    def following(self) -> list[list[int]]:
        """`next` as lists, which one look-up at a time reads faster."""
        found: list[list[int]] = self.next.tolist()
        return found

    def uniform_point(self, u: float) -> tuple[int, int, float]:
        """Map a draw to (crossing, heading, share), uniform over both ways along all streets.

        The point is that share of a block away from that crossing, in that heading.
        """
        crossing, heading = np.nonzero(self.next >= 0)
        length_m = np.asarray(self.block_m)[heading % 2]
        ends_m = np.cumsum(length_m)
        at_m = u * ends_m[-1]
        block = min(int(np.searchsorted(ends_m, at_m, side="right")), ends_m.size - 1)
        share = 1.0 - (ends_m[block] - at_m) / length_m[block]
        return int(crossing[block]), int(heading[block]), float(np.clip(share, 0.0, 1.0))


@lru_cache(maxsize=64)
def streets_of(area: Area, block_m: tuple[float, float]) -> Streets:
    """Return the grid of as many whole blocks as fit into the area's bounding box, centred in it.

    A block's side is a street where both its ends are in the area, which is convex, so that the
    street is too. In a rectangle no point is farther than a block from a street.

    Raises:
        ValueError: no street along x or none along y fits, or there are too many.
    """
    x_min, y_min, x_max, y_max = area.extent_m()
    size_m = np.array([x_max - x_min, y_max - y_min])
    num_blocks = np.floor(size_m / block_m + 1e-9).astype(np.int64)
    columns, rows = (num_blocks + 1).tolist()
    if columns * rows > _MOST_CROSSINGS:
        raise ValueError(
            f"expected a grid of at most {_MOST_CROSSINGS} crossings, got {columns} x {rows}; "
            "make the blocks longer"
        )
    centre_m = np.array([x_min + x_max, y_min + y_max]) / 2.0
    column, row = np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij")
    lattice = np.stack([column, row], axis=-1)  # [columns, rows, 2]
    lattice_m = centre_m + (lattice - num_blocks / 2.0) * block_m
    inside = area.contains(lattice_m)
    # Numbers of the crossings in a frame of -1, so that the neighbour of a last one is -1.
    number = np.full((columns + 2, rows + 2), -1)
    number[1:-1, 1:-1][inside] = np.arange(np.count_nonzero(inside))
    at = lattice[inside] + 1
    following = np.stack([number[tuple((at + step).T)] for step in HEADINGS], axis=1)
    if not (following[:, 0] >= 0).any() or not (following[:, 1] >= 0).any():
        width_m, height_m = size_m.tolist()
        raise ValueError(
            f"expected blocks of streets that fit into the area ({width_m:g} m x {height_m:g} m), "
            f"got {block_m[0]:g} m x {block_m[1]:g} m; make the blocks shorter"
        )
    return Streets(lattice_m[inside], following, block_m)
