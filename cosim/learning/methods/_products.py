"""Sums of products B A by their factors: exact, of lowest rank, or the best of a given rank.

No matrix of a layer's full size [d_out, d_in] is ever decomposed, and none is formed where the
factors are smaller. Of stacked factors B [d_out, R] and A [R, d_in], thin QR decompositions
B = Q_b R_b and A^T = Q_a R_a leave a core R_b R_a^T of at most R x R, whose singular value
decomposition is that of B A (Eckart-Young: cut after r values it is the nearest matrix of rank r).
It takes O((d_out + d_in) R^2 + R^3) instead of O(d_out d_in min(d_out, d_in)).
All of it is done in float64 and rounded once to float32: the relative error of a product
stays near the rounding of its two factors, 1e-7.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Adapter, Layout, Vector
from cosim.learning.methods.base import Arrival
from cosim.learning.ranks import pack, unpack

Matrix = NDArray[np.float64]


def filled(own: Vector, arrival: Arrival) -> Vector:
    """Return the adapter that arrived: the device's own where it was lost, 0 where none was sent.

    Args:
        own: the receiver's flat vector.
        arrival: coordinates of a vector of the same layout.
    """
    vector = np.zeros_like(own)
    vector[arrival.sent] = own[arrival.sent]
    vector[arrival.update.coordinates] = arrival.update.values
    return vector


def mean_head(layout: Layout, parts: Sequence[tuple[Vector, float]]) -> Vector:
    """Return the weighted mean of the heads of flat vectors, whose weights are of sum 1."""
    where = layout.part_head
    mean = np.zeros(where.stop - where.start)
    for vector, weight in parts:
        mean += weight * vector[where].astype(np.float64)
    return mean.astype(np.float32)


def beside(own: Adapter, other: Adapter | None) -> Adapter:
    """Return the adapter whose product is the sum of both; its first ranks and head are `own`'s.

    Args:
        own: kept as it is, so that training it in the sum is training it alone.
        other: of the same scale; None for nothing.
    """
    if other is None:
        return own
    rank = own.layout.rank
    layout = Layout(own.layout.sites, rank + other.layout.rank, own.layout.head)
    vector = np.zeros(layout.size, dtype=np.float32)
    pack(own.layout, own.vector, layout, vector)
    for site in range(len(layout.sites)):
        layout.a(vector, site)[rank:] = other.layout.a(other.vector, site)
        layout.b(vector, site)[:, rank:] = other.layout.b(other.vector, site)
    return Adapter(layout, vector, own.scale)


def first_part(layout: Layout, joined: Vector) -> Vector:
    """Return the first ranks, as many as the layout has, of an adapter that `beside` made.

    Args:
        layout: of the part.
        joined: flat vector over the same sites and head, of any greater rank.
    """
    rows = sum(site.d_in + site.d_out for site in layout.sites)
    head = layout.part_head.stop - layout.part_head.start
    whole = Layout(layout.sites, (joined.size - head) // rows, layout.head)
    return unpack(whole, joined, layout)


def compressed(adapter: Adapter, scale: float) -> Adapter:
    """Return the same product in the fewest ranks that any product of its sites can need.

    That is the largest min(d_in, d_out) of the sites, as a layout has one rank for all; an adapter
    of no more ranks keeps its factors. Of the others the factors are the product itself and the
    unit matrix, on the side where it is smaller: as few numbers as a decomposition would leave, at
    the price of one matrix product.

    Args:
        adapter: of any rank.
        scale: of the adapter returned.
    """
    source = adapter.layout
    most = max(min(site.d_in, site.d_out) for site in source.sites)
    layout = Layout(source.sites, min(source.rank, most), source.head)
    vector = np.zeros(layout.size, dtype=np.float32)
    for number, site in enumerate(source.sites):
        a = source.a(adapter.vector, number).astype(np.float64)
        b = source.b(adapter.vector, number) * (adapter.scale / scale)
        if source.rank > most and site.d_out <= site.d_in:
            a, b = b @ a, np.eye(site.d_out)
        elif source.rank > most:
            a, b = np.eye(site.d_in), b @ a
        layout.a(vector, number)[: len(a)] = a
        layout.b(vector, number)[:, : len(a)] = b
    vector[layout.part_head] = adapter.vector[source.part_head]
    return Adapter(layout, vector, scale)


def truncated(adapter: Adapter, layout: Layout, rank: int, scale: float, spare_a: Vector) -> Vector:
    """Return the nearest adapter of a lower rank, B = U S / scale and A = V^T.

    A singular vector's sign is such that the largest entry of its row of A is positive. Where the
    product has fewer ranks, B is 0 and A is `spare_a`'s, so that training can use the rank.

    Args:
        adapter: whose product, times its scale, is wanted.
        layout: of the result, over the same sites and head.
        rank: how many of the layout's ranks to use; the others are 0.
        scale: of the result.
        spare_a: flat vector of `layout`, or the A of one.

    Returns:
        A flat vector of `layout`, whose head is the adapter's.
    """
    source = adapter.layout
    vector = np.zeros(layout.size, dtype=np.float32)
    for site in range(len(layout.sites)):
        b = source.b(adapter.vector, site) * np.float64(adapter.scale / scale)
        u, s, vt = _svd(b, source.a(adapter.vector, site).astype(np.float64))
        kept = min(rank, int(np.count_nonzero(s > s[0] * 1e-7)))
        layout.a(vector, site)[:rank] = layout.a(spare_a, site)[:rank]
        layout.a(vector, site)[:kept] = vt[:kept]
        layout.b(vector, site)[:, :kept] = u[:, :kept] * s[:kept]
    vector[layout.part_head] = adapter.vector[source.part_head]
    return vector


def _svd(b: Matrix, a: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Return U, singular values and V^T of B A; each row's largest entry of V^T is positive."""
    q_b, r_b = np.linalg.qr(b)
    q_a, r_a = np.linalg.qr(a.T)
    u, s, vt = np.linalg.svd(r_b @ r_a.T, full_matrices=False)
    u, vt = q_b @ u, vt @ q_a.T
    sign = np.sign(vt[np.arange(len(vt)), np.argmax(np.abs(vt), axis=1)])
    return u * sign, s, vt * sign[:, None]
