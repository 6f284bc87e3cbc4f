"""What is measured of adapters: how they collide, what averaging loses, what stays of earlier ones.

Products s B A are compared by their factors: <B_1 A_1, B_2 A_2> = sum((B_1^T B_2) * (A_1 A_2^T)),
entry by entry of R x R matrices, so that none of a layer's full size is formed. Sums go over all
sites, in float64.
The rate at which random masks collide, P1 (16), is `cosim.planning.collision.collision_rate`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.learning.adapter import Adapter, Layout, Mask, Vector, concatenate


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


def layer_densities(layout: Layout, mask: Mask) -> NDArray[np.float64]:
    """Return the fraction of each layer's B that a mask holds, [num sites].

    Args:
        layout: where each layer's B is.
        mask: [layout.size].
    """
    return np.array([np.mean(mask[where]) for where in layout.slices_b])


def effective_rank(spectrum: ArrayLike) -> float:
    """Return exp(H(p)) of the eigenvalues p of a covariance, divided by their sum; 0 of none.

    It is n for n equal ones, and 1 for a single one (Roy and Vetterli, EUSIPCO 2007).

    Args:
        spectrum: eigenvalues; those below 0, which only rounding makes, count as 0.
    """
    values = np.maximum(np.asarray(spectrum, dtype=np.float64), 0.0)
    if values.sum() == 0:
        return 0.0
    p = values[values > 0] / values.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


def inner(x: Adapter, y: Adapter) -> float:
    """Return the sum over sites of <s_x B_x A_x, s_y B_y A_y>, of any two ranks."""
    total = 0.0
    for site in range(len(x.layout.sites)):
        a_x, b_x = _factors(x, site)
        a_y, b_y = _factors(y, site)
        total += float(np.sum((b_x.T @ b_y) * (a_x @ a_y.T)))
    return x.scale * y.scale * total


def norm(x: Adapter) -> float:
    """Return the Frobenius norm of the products of all sites together."""
    return math.sqrt(max(inner(x, x), 0.0))


def covariance_term(layout: Layout, vectors: Sequence[Vector]) -> float:
    """Return ||mean(B_i A_i) - mean(B_i) mean(A_i)||_F^2 over all sites (P3, without the scale).

    It is what averaging the factors apart changes, relative to averaging the products.

    Args:
        layout: of all vectors.
        vectors: at least one.
    """
    mean = np.mean(np.stack(vectors).astype(np.float64), axis=0)
    total = 0.0
    for site in range(len(layout.sites)):
        # mean(B A) - mean(B) mean(A) is the covariance: the mean of both less their means.
        parts = [_factors(Adapter(layout, vector - mean, 1.0), site) for vector in vectors]
        a = np.concatenate([a for a, _ in parts])
        b = np.concatenate([b for _, b in parts], axis=1) / len(vectors)
        total += float(np.sum((b.T @ b) * (a @ a.T)))
    return max(total, 0.0)


def aggregation_gap(merged: Adapter, parts: Sequence[tuple[Adapter, float]]) -> float:
    """Return ||merged - sum_j w_j P_j||_F / ||sum_j w_j P_j||_F of products P_j = s_j B_j A_j.

    It is 0 for a method whose aggregation is exact, but for rounding: float32 factors leave some
    1e-7. If the sum is zero, it is 0 where the merged product is too, and else infinite.

    Args:
        merged: what a device has after aggregating.
        parts: what was aggregated, with weights; at least one.
    """
    mean = concatenate(parts)
    wanted = norm(mean)
    apart = norm(concatenate([(merged, 1.0), (mean, -1.0)]))
    if wanted == 0:
        return 0.0 if apart == 0 else math.inf
    return apart / wanted


@dataclass(frozen=True)
class Kept:
    """How much of an earlier product a later one holds; nan where one of them is zero.

    Attributes:
        cosine: of the angle between the two.
        fraction: of the earlier one, along its own direction, <earlier, later> / ||earlier||^2.
    """

    cosine: float
    fraction: float


def knowledge_kept(earlier: Adapter, later: Adapter) -> Kept:
    """Return what is left of one round's product in a later one's."""
    size, product = norm(earlier), inner(earlier, later)
    both = size * norm(later)
    return Kept(product / both if both else math.nan, product / size**2 if size else math.nan)


def forgetting(accuracy: ArrayLike) -> NDArray[np.float64]:
    """Return how far each task's accuracy is below its best so far, [num tasks].

    It is max_l a_l - a_k after evaluation k, l <= k, so at least 0; Chaudhry et al. (ECCV 2018)
    take l < k, by which what has got better counts as negative.

    Args:
        accuracy: of one device, [num evaluations, num tasks], at least one evaluation.
    """
    values = np.asarray(accuracy, dtype=np.float64)
    below: NDArray[np.float64] = values.max(axis=0) - values[-1]
    return below


def _factors(x: Adapter, site: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a site's A [r, d_in] and B [d_out, r] in float64."""
    a, b = x.layout.a(x.vector, site), x.layout.b(x.vector, site)
    return a.astype(np.float64), b.astype(np.float64)
