"""Where the numbers of points on a map go, so that they hide neither each other nor the points.

Point by point, crowded ones first, the candidate that covers least is taken: eight directions
around the point, on rings that move out. A number that is not beside its point any more has a
thin line to it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

RINGS_PT = (6.0, 9.0, 12.5, 16.5, 21.0)  # from a point to the middle of its number
BESIDE_PT = 7.5  # nearer than this, a number needs no line to its point
DIRECTIONS = np.deg2rad((45, 135, -45, -135, 0, 90, 180, -90))
DIGIT_PT, LINE_PT = 0.52 * style.SMALL_PT, 0.75 * style.SMALL_PT  # width and height of a digit
POINT_PT = 3.0  # half the width of a point's mark
GAP_PT = 0.6  # kept free around a number
OUTSIDE = 1e3  # what a square point outside the axes costs; one on a mark or a number costs 1
FURTHER = 0.25  # what one point of distance costs
LINK = 0.15  # what one point of a line under a number costs


def place_labels(
    points_pt: Floats, texts: Sequence[str], size_pt: tuple[float, float], lines_pt: Floats
) -> Floats:
    """Return the middle of each text.

    Args:
        points_pt: the points, [N, 2], in typographic points from the lower left corner.
        texts: their labels, [N].
        size_pt: width and height of the axes.
        lines_pt: samples of the lines that are drawn, [K, 2], one every `LINE_PT` or so.

    Returns:
        [N, 2], in typographic points.
    """
    half = 0.5 * np.array([[DIGIT_PT * len(text), LINE_PT] for text in texts]) + GAP_PT
    centre = np.divide(size_pt, 2.0)
    apart = np.linalg.norm(points_pt[:, None] - points_pt[None], axis=-1)
    crowded = np.argsort(-(apart < RINGS_PT[2]).sum(axis=1), kind="stable")
    placed: list[tuple[Floats, Floats]] = []  # middles and half sizes of the numbers that stand
    middles = np.empty_like(points_pt)
    turns = np.stack([np.cos(DIRECTIONS), np.sin(DIRECTIONS)], axis=1)
    for number in crowded:
        candidates = points_pt[number] + np.concatenate([ring * turns for ring in RINGS_PT])
        mine = half[number]
        cost = FURTHER * np.repeat(RINGS_PT, len(turns))
        cost += _overlap(candidates, mine, points_pt, np.full(2, POINT_PT)).sum(axis=1)
        for middle, size in placed:
            cost += _overlap(candidates, mine, middle[None], size)[:, 0]
        over = np.maximum(np.abs(candidates - centre) + mine - centre, 0.0)
        cost += OUTSIDE * over.sum(axis=1)
        if len(lines_pt):
            inside = np.abs(lines_pt[None] - candidates[:, None]) < mine
            cost += LINK * LINE_PT * inside.all(axis=-1).sum(axis=1)
        best = candidates[int(np.argmin(cost))]
        middles[number] = best
        placed.append((best, mine))
    return middles


def draw_labels(axes: "Axes", points: Floats, texts: Sequence[str], middles: Floats) -> None:
    """Write texts at their places, and a line to those that are not beside their point.

    Args:
        axes: the axes.
        points: in data coordinates, [N, 2].
        texts: their labels, [N].
        middles: of the texts, from their points, in typographic points, [N, 2].
    """
    line = {"arrowstyle": "-", "linewidth": 0.4, "color": style.GREY, "shrinkA": 0, "shrinkB": 0}
    for point, text, shift in zip(points, texts, middles, strict=True):
        far = np.hypot(*shift) > BESIDE_PT
        axes.annotate(
            text,
            point,
            xytext=tuple(shift),
            textcoords="offset points",
            ha="center",
            va="center_baseline",
            fontsize=style.SMALL_PT,
            path_effects=style.halo(),
            arrowprops=line if far else None,
            zorder=6,
        )


def _overlap(middles: Floats, half: Floats, others: Floats, others_half: Floats) -> Floats:
    """Return the area that boxes around `middles` share with boxes around `others`, [A, B]."""
    reach = half + others_half - np.abs(middles[:, None] - others[None])
    shared = np.minimum(np.maximum(reach, 0.0), 2.0 * np.minimum(half, others_half))
    area: Floats = shared.prod(axis=-1)
    return area
