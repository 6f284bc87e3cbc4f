"""Adapters of several ranks as one: missing rows of A and columns of B are zero.

A zero row of A meets a zero column of B, so the product, and with it the model, is the same.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Layout, Vector


def pack(source: Layout, vector: NDArray[Any], target: Layout, out: NDArray[Any]) -> None:
    """Write a flat vector (or mask) of `source` into `out` of a layout with at least its rank.

    Args:
        source: layout of `vector`.
        vector: [source.size].
        target: layout over the same sites and head.
        out: [at least target.size]; places that `source` does not have are left as they are.
    """
    if source.rank == target.rank:
        out[: target.size] = vector
        return
    for site in range(len(source.sites)):
        target.a(out, site)[: source.rank] = source.a(vector, site)
        target.b(out, site)[:, : source.rank] = source.b(vector, site)
    out[target.part_head] = vector[source.part_head]


def unpack(source: Layout, vector: NDArray[Any], target: Layout) -> Vector:
    """Return the coordinates of `target`, a layout of lower or equal rank, from `source`'s."""
    out = np.empty(target.size, dtype=np.float32)
    if source.rank == target.rank:
        out[:] = vector[: target.size]
        return out
    for site in range(len(source.sites)):
        target.a(out, site)[:] = source.a(vector, site)[: target.rank]
        target.b(out, site)[:] = source.b(vector, site)[:, : target.rank]
    out[target.part_head] = vector[source.part_head]
    return out
