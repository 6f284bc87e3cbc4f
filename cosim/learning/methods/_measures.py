"""How far devices' adapters get in each other's way, measured."""

import math
from collections.abc import Sequence

import numpy as np

from cosim.learning.adapter import Layout, Mask, Vector


def overlap(masks: Sequence[Mask]) -> float:
    """Return the fraction of coordinates that more than one mask holds (P1 (16), measured).

    Args:
        masks: masks over the same coordinates, [n] each.
    """
    if len(masks) < 2:
        return 0.0
    return float(np.mean(np.sum(masks, axis=0, dtype=np.int32) > 1))


def gram_ratio(layout: Layout, a_i: Vector, a_j: Vector) -> float:
    """Return ||A_i^T A_j||_F / ||A_i^T A_i||_F over all sites: 0 if orthogonal, 1 if equal.

    Args:
        layout: where each site's A is.
        a_i: flat A of one device, [size_a] or a whole vector.
        a_j: flat A of another device, likewise.
    """
    cross = own = 0.0
    for site in range(len(layout.sites)):
        rows_i, rows_j = layout.a(a_i, site), layout.a(a_j, site)
        cross += float(np.sum(np.square(rows_i @ rows_j.T, dtype=np.float64)))
        own += float(np.sum(np.square(rows_i @ rows_i.T, dtype=np.float64)))
    return math.sqrt(cross / own)
