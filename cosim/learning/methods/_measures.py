"""What is measured of adapters: how they collide, what averaging loses, what stays of earlier ones.

Products s B A are compared by their factors: <B_1 A_1, B_2 A_2> = sum((B_1^T B_2) * (A_1 A_2^T)),
entry by entry of R x R matrices, so that none of a layer's full size is formed. Sums go over all
sites, in float64.
The rate at which random masks collide, P1 (16), is `cosim.collision.collision_rate`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.learning.adapter import Adapter, Layout, Mask, Vector
from cosim.learning.methods.base import Coordinates

Matrix = NDArray[np.float64]

_SINGLE = 2**18  # multiplications up to which OpenBLAS multiplies in one thread


def overlap(masks: Sequence[Mask]) -> float:
    """Return the fraction of coordinates that more than one mask holds (P1 (16), measured).

    Args:
        masks: masks over the same coordinates, [n] each.
    """
    if len(masks) < 2:
        return 0.0
    return float(np.mean(np.sum(masks, axis=0, dtype=np.int32) > 1))


def gram_ratios(layout: Layout, vectors: Sequence[Vector]) -> NDArray[np.float64]:
    """Return ||A_i^T A_j||_F / ||A_i^T A_i||_F over all sites: 0 if orthogonal, 1 if equal.

    Args:
        layout: where each site's A is.
        vectors: flat A of M devices, [size_a] or whole vectors.

    Returns:
        [M, M], row i for device i; NaN where A_i is zero.
    """
    count, rank = len(vectors), layout.rank
    squares = np.zeros((count, count))
    for site in range(len(layout.sites)):
        rows = np.concatenate([layout.a(vector, site) for vector in vectors]).astype(np.float64)
        blocks = np.square(rows @ rows.T).reshape(count, rank, count, rank)
        squares += blocks.sum(axis=(1, 3))
    own = np.diag(squares)[:, None]
    ratios = np.full((count, count), math.nan)
    np.divide(squares, own, out=ratios, where=own > 0)
    np.sqrt(ratios, out=ratios)
    return ratios


def layer_shares(
    layout: Layout, coordinates: Coordinates, whole: Layout
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what fraction of each layer's A, and of its B, some coordinates are, [num sites].

    Args:
        layout: that the coordinates are of, ascending.
        coordinates: at most as many of each layer as `whole` has.
        whole: of the same sites and maybe fewer ranks; what fractions are of.
    """
    counts = []
    for slices in (layout.slices_a, layout.slices_b):
        edges = [slices[0].start, *(each.stop for each in slices)]
        counts.append(np.diff(np.searchsorted(coordinates, edges)))
    sizes_a = [whole.rank * site.d_in for site in whole.sites]
    sizes_b = [whole.rank * site.d_out for site in whole.sites]
    return counts[0] / np.array(sizes_a), counts[1] / np.array(sizes_b)


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


@dataclass(frozen=True)
class MergeLoss:
    """What a merge of products P_j = s_j B_j A_j with weights w_j changed, over all sites.

    Attributes:
        gap: ||merged - sum_j w_j P_j||_F / ||sum_j w_j P_j||_F; 0 for a method whose aggregation is
            exact, but for rounding: float32 factors leave some 1e-7. If the sum is zero, it is 0
            where the merged product is too, and else infinite.
        covariance_term: ||mean(B_j A_j) - mean(B_j) mean(A_j)||_F^2, means by weight (P3, without
            the scale): what averaging A and B apart changes, relative to averaging products,
            whether the method does so or not. Of parts that have the first one's rank.
    """

    gap: float
    covariance_term: float


def merge_loss(merged: Adapter, parts: Sequence[tuple[Adapter, float]]) -> MergeLoss:
    """Return what a merge lost.

    Args:
        merged: what a device has after aggregating.
        parts: what was aggregated, with weights of at least 0; at least one.
    """
    adapters = [merged, *(adapter for adapter, _ in parts)]
    signs = np.array([1.0, *(-weight for _, weight in parts)])
    apart = wanted = covariance = 0.0
    rank = parts[0][0].layout.rank
    alike = np.array([i for i, (each, _) in enumerate(parts, 1) if each.layout.rank == rank])
    weights = -signs[alike]
    weights = weights / weights.sum() if weights.any() else np.full(len(alike), 1 / len(alike))
    ends = np.cumsum([each.layout.rank for each in adapters])
    ranks = np.concatenate([np.arange(ends[i] - rank, ends[i]) for i in alike])
    factors = np.repeat(signs, [each.layout.rank for each in adapters])
    factors *= np.repeat([each.scale for each in adapters], [each.layout.rank for each in adapters])
    of_parts = np.where(np.arange(len(factors)) < merged.layout.rank, 0.0, factors)
    for gram_a, gram_b in _grams(adapters):
        both = gram_a * gram_b
        apart += float(factors @ both @ factors)
        wanted += float(of_parts @ both @ of_parts)
        # mean(B A) - mean(B) mean(A) is the covariance: the mean of both less their means.
        centred_a, centred_b = (
            _centred(gram[np.ix_(ranks, ranks)], weights) for gram in (gram_a, gram_b)
        )
        each = np.repeat(weights, rank)
        covariance += float(each @ (centred_a * centred_b) @ each)
    apart, wanted = math.sqrt(max(apart, 0.0)), math.sqrt(max(wanted, 0.0))
    gap = apart / wanted if wanted else (0.0 if apart == 0 else math.inf)
    return MergeLoss(gap, max(covariance, 0.0))


def _centred(gram: Matrix, weights: NDArray[np.float64]) -> Matrix:
    """Return the Gram matrix of M blocks of vectors, each less the blocks' weighted mean."""
    count = len(weights)
    rank = len(gram) // count
    less_mean = np.kron(np.eye(count) - weights, np.eye(rank))
    centred: Matrix = less_mean @ gram @ less_mean.T
    return centred


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
    cut = earlier.layout.rank
    sums = np.zeros(3)  # <earlier, earlier>, <earlier, later>, <later, later>
    for gram_a, gram_b in _grams([earlier, later]):
        both = gram_a * gram_b
        sums += both[:cut, :cut].sum(), both[:cut, cut:].sum(), both[cut:, cut:].sum()
    size, other = (math.sqrt(max(each, 0.0)) for each in (sums[0], sums[2]))
    cosine = sums[1] / (size * other) if size * other else math.nan
    scale = later.scale / earlier.scale
    return Kept(float(cosine), float(scale * sums[1] / sums[0]) if size else math.nan)


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


def _grams(adapters: Sequence[Adapter]) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield A A^T and B^T B of every site, of the factors of all adapters stacked, [R, R] each."""
    for site in range(len(adapters[0].layout.sites)):
        a = np.concatenate([x.layout.a(x.vector, site) for x in adapters])
        b = np.concatenate([x.layout.b(x.vector, site).T for x in adapters])
        yield _gram(a.astype(np.float64)), _gram(b.astype(np.float64))


def _gram(rows: Matrix) -> Matrix:
    """Return X X^T of X [R, d], [R, R].

    A few columns at a time where R is small: for products as small as these OpenBLAS would wake
    threads, which on a busy machine takes ten times as long as the product (measured).
    """
    count, length = rows.shape
    at_once = _SINGLE // count**2
    gram: Matrix
    if not 32 <= at_once < length:
        gram = rows @ rows.T
        return gram
    gram = np.zeros((count, count))
    for start in range(0, length, at_once):
        part = rows[:, start : start + at_once]
        gram += part @ part.T
    return gram
