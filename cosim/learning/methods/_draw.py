"""Starting values of A, drawn from addresses: any device can draw any other's, so none is sent."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Layout, Vector
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Cohort


def _over_sqrt_d_in(values: NDArray[np.float32], layout: Layout) -> Vector:
    """Divide each site's part of a flat A [size_a] by the square root of its d_in; read-only."""
    inputs = np.array([site.d_in for site in layout.sites])
    scaled = values * np.repeat(inputs**-0.5, layout.rank * inputs).astype(np.float32)
    scaled.setflags(write=False)
    return scaled


@lru_cache(maxsize=64)
def gaussian_a(cohort: Cohort, device: int | None, *, literal: bool = False) -> Vector:
    """Return A of a device, entries N(0, 1/d_in), flat [size_a], read-only.

    With None, the one A that all devices start from.

    P1 prints N(0, 1), the literal form, by which A_i^T A_j has entries of deviation sqrt(d) instead
    of about 0; with variance 1/d they are of deviation 1/sqrt(d), beside A_i^T A_i of about 1.
    """
    name, index = ("adapter_a", device) if device is not None else ("common_a", 0)
    rng = cohort.draws.generator(name, index)
    normal = rng.standard_normal(cohort.layout.size_a, dtype=np.float32)
    if literal:
        normal.setflags(write=False)
        return normal
    return _over_sqrt_d_in(normal, cohort.layout)


@lru_cache(maxsize=64)
def kaiming_a(cohort: Cohort, device: int | None) -> Vector:
    """Return A of a device, entries U(-1/sqrt(d_in), 1/sqrt(d_in)), flat [size_a], read-only.

    It is the start of A in PEFT and in LoRI (Kaiming-uniform with a = sqrt(5)). With None, the
    one A that all devices start from.
    """
    name, index = ("adapter_a", device) if device is not None else ("common_a", 0)
    uniform = cohort.draws.generator(name, index).random(cohort.layout.size_a, dtype=np.float32)
    return _over_sqrt_d_in(2 * uniform - 1, cohort.layout)


@lru_cache(maxsize=8)
def common_a(cohort: Cohort, restart: int) -> Vector:
    """Return the A that all devices start from for the n-th time, flat [size_a], read-only.

    Entries as of `kaiming_a`, whose common A is that of the first start, number 0.
    """
    rng = cohort.draws.generator("common_a", restart)
    uniform = rng.random(cohort.layout.size_a, dtype=np.float32)
    return _over_sqrt_d_in(2 * uniform - 1, cohort.layout)


def orthonormal_a(cohort: Cohort, device: int) -> Vector:
    """Return A of a device, all devices' rows orthonormal at every site, flat [size_a].

    Raises:
        LearningError: some site has fewer inputs than all devices' rows.
    """
    own: Vector = _orthonormal_all(cohort)[device]
    return own


@lru_cache(maxsize=2)
def _orthonormal_all(cohort: Cohort) -> NDArray[np.float32]:
    """All devices' A, [num_devices, size_a]: slices of one QR decomposition for each site."""
    layout, rows = cohort.layout, cohort.num_devices * cohort.layout.rank
    least = min(layout.sites, key=lambda site: site.d_in)
    if rows > least.d_in:
        raise LearningError(
            f"learning.method.orthogonal: exact needs devices x rank <= inputs of every layer, got "
            f"{cohort.num_devices} x {layout.rank} = {rows} > {least.d_in} at {least.name}; use "
            f"orthogonal: random, or fewer of both (devices x rank at most {least.d_in})"
        )
    stacked = np.empty((cohort.num_devices, layout.size_a), dtype=np.float32)
    for number, (site, place) in enumerate(zip(layout.sites, layout.slices_a, strict=True)):
        rng = cohort.draws.generator("orthonormal_a", number)
        q, _ = np.linalg.qr(rng.standard_normal((site.d_in, rows)))
        stacked[:, place] = q.T.reshape(cohort.num_devices, -1)
    stacked.setflags(write=False)
    return stacked
