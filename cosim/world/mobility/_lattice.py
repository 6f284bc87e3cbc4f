"""Lattice: a number of points that cover an area evenly."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cosim.world.area.base import Area


@lru_cache(maxsize=64)
def lattice_m(area: Area, count: int) -> NDArray[np.float64]:
    """Return `count` points [count, 2] of a regular lattice over an area, all inside.

    The bounding box is cut into equal cells, c columns and r rows, nearly square; the lattice is
    the cells' middles that are inside the area. Of the lattices with enough points the one with
    the fewest is taken (of those, the squarest cells). What it has too many is left out evenly:
    of M points, read row by row from the bottom left, those at floor(k M / count). In a rectangle
    whose sides have the ratio c : r, count = c r points make a perfect lattice.
    """
    x_min, y_min, x_max, y_max = area.extent_m()
    width_m, height_m = x_max - x_min, y_max - y_min
    # About half as many as square cells need; in a narrow area one for each point is enough.
    columns = max(1, min(count, int(0.5 * np.sqrt(count * width_m / height_m))))
    best: tuple[int, float, NDArray[np.float64]] | None = None
    enough = False
    while not enough:
        square = min(count, round(columns * height_m / width_m))  # rows of nearly square cells
        for rows in range(max(1, square - 1), square + 2):
            points_m = _middles_m(area, columns, rows)
            if len(points_m) < count:
                continue
            enough = enough or rows <= max(1, square - 1)
            stretched = abs(np.log(width_m / columns * rows / height_m))
            if best is None or (len(points_m), stretched) < best[:2]:
                best = (len(points_m), stretched, points_m)
        columns += 1
    assert best is not None  # the loop ends when a lattice has enough points
    points_m = best[2]
    chosen: NDArray[np.float64] = points_m[np.arange(count) * len(points_m) // count]
    return chosen


def _middles_m(area: Area, columns: int, rows: int) -> NDArray[np.float64]:
    """Return the middles of the bounding box's cells that are inside the area, row by row."""
    x_min, y_min, x_max, y_max = area.extent_m()
    x_m = x_min + (np.arange(columns) + 0.5) * ((x_max - x_min) / columns)
    y_m = y_min + (np.arange(rows) + 0.5) * ((y_max - y_min) / rows)
    points_m = np.stack(np.meshgrid(x_m, y_m), axis=-1).reshape(-1, 2)
    inside: NDArray[np.float64] = points_m[area.contains(points_m)]
    return inside
