"""What an adapter's product at a site reacts to: its singular values and right singular vectors.

Of s B A = U diag(sigma) V^T the pool needs no U: ||s B A x|| = ||diag(sigma) V^T x||, r numbers
instead of d_out. With A^T = Q R, s B A = (s B R^T) Q^T, so that only [d_out, r] is decomposed.
"""

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Adapter, Vector


def singular(adapter: Adapter, site: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the singular values of s B A, descending, [r], and its right vectors, [r, d_in].

    Where d_in or d_out is smaller than the rank, there are as many as the smallest.
    """
    layout = adapter.layout
    a = layout.a(adapter.vector, site).astype(np.float64)
    b = layout.b(adapter.vector, site) * np.float64(adapter.scale)
    q, r = np.linalg.qr(a.T)
    _, sigma, vt = np.linalg.svd(b @ r.T, full_matrices=False)
    return sigma, vt @ q.T


def reactions(adapters: tuple[Adapter, ...], site: int, *, unit: bool = False) -> Vector:
    """Return diag(sigma) V^T of every adapter at a site, [J, most ranks, d_in], zeros below.

    Args:
        adapters: J adapters.
        site: number of the site.
        unit: divide each by ||s B A||_F; a product of zeros stays zero.
    """
    most = max(each.layout.rank for each in adapters)
    rows = np.zeros((len(adapters), most, adapters[0].layout.sites[site].d_in), dtype=np.float32)
    for number, each in enumerate(adapters):
        sigma, vt = singular(each, site)
        size = float(np.linalg.norm(sigma)) if unit else 1.0
        if size > 0:
            rows[number, : len(sigma)] = (sigma / size)[:, None] * vt
    return rows
