"""Collision rate of sparse updates: how likely a coordinate is trained by more than one device.

    S = 1 - prod_j (1 - s_j) - sum_j s_j prod_{z != j} (1 - s_z)        (P1, equation 16)

With masks drawn independently at densities s_j, the number of devices that hold a coordinate has
the generating function prod_j ((1 - s_j) + s_j x). S needs its first two coefficients only, P for
nobody and Q for exactly one, and those of a union of two disjoint clusters are the product of the
two polynomials, cut after x. So a merge costs O(1), and nothing is divided: a density of 1 is
like any other.

Where parts are nested, such as the first ranks of hetlora, or drawn anew each round, it is a
heuristic: what is measured is then of what devices train, and the densities of what they send.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Terms = tuple[float, float]  # (P, Q)

TOLERANCE = 1e-9
"""Collision rates this close count as equal: far above rounding, far below what is measurable."""

EMPTY: Terms = (1.0, 0.0)


def alone(density: float) -> Terms:
    """Return the terms of a cluster of one device: (1 - s, s)."""
    return 1.0 - density, density


def union(a: Terms, b: Terms) -> Terms:
    """Return the terms of two disjoint clusters taken together."""
    return a[0] * b[0], a[0] * b[1] + a[1] * b[0]


def rate(terms: Terms) -> float:
    """Return S = 1 - P - Q, not below 0 where rounding would take it there."""
    return max(0.0, 1.0 - terms[0] - terms[1])


def collision_rate(density: ArrayLike) -> float:
    """Return S of one cluster whose devices have these densities, [M]; 0 for M < 2.

    Raises:
        ValueError: a density is not between 0 and 1.
    """
    densities = np.asarray(density, dtype=np.float64)
    if not np.all((densities >= 0) & (densities <= 1)):
        raise ValueError(f"expected densities between 0 and 1, got {densities.tolist()}")
    terms = EMPTY
    for value in densities.tolist():
        terms = union(terms, alone(value))
    return rate(terms) if len(densities) > 1 else 0.0


def collision_rates(
    density: NDArray[np.float64], cluster: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return S of every cluster, [num_clusters].

    Args:
        density: density of each device, [N].
        cluster: cluster number of each device, 0 to num_clusters - 1, or -1 for none, [N].
    """
    num_clusters = int(cluster.max(initial=-1)) + 1
    terms, sizes = [EMPTY] * num_clusters, [0] * num_clusters
    for number, value in zip(cluster.tolist(), density.tolist(), strict=True):
        if number >= 0:
            terms[number] = union(terms[number], alone(value))
            sizes[number] += 1
    rates = [rate(each) if size > 1 else 0.0 for each, size in zip(terms, sizes, strict=True)]
    return np.array(rates, dtype=np.float64)
