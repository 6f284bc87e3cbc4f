"""Metropolis weights: how a device mixes what arrives with its own, (8) and (9) of P1 resolved.

    w_ij = 1 / (1 + max(deg_i, deg_j)),    w_ii = 1 - sum_j w_ij

The matrix is symmetric and doubly stochastic, so averaging keeps the mean (Xiao and Boyd, Fast
linear iterations for distributed averaging, 2004). In a clique of M devices every weight is 1/M,
and one step gives everybody the mean.
"""

import numpy as np
from numpy.typing import NDArray


def mixing(
    src: NDArray[np.int64], dst: NDArray[np.int64], num_devices: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weight that `dst` gives to `src` on each link, [L], and to itself, [N].

    Args:
        src: transmitter of each link, [L].
        dst: its receiver; every link is there in both directions, [L].
        num_devices: N.

    Raises:
        ValueError: a link joins a device with itself, occurs twice or lacks its reverse.
    """
    forward, backward = src * num_devices + dst, dst * num_devices + src
    if np.any(src == dst):
        raise ValueError(
            f"expected links between two devices, got {src[src == dst][0]} with itself"
        )
    if len(np.unique(forward)) != len(forward):
        raise ValueError("expected every link once, got one twice")
    lacking = np.flatnonzero(~np.isin(backward, forward))
    if len(lacking):
        first = lacking[0]
        raise ValueError(
            f"expected every link with its reverse, got {src[first]} -> {dst[first]} without "
            f"{dst[first]} -> {src[first]}"
        )
    degree = np.bincount(dst, minlength=num_devices)
    weight = 1.0 / (1.0 + np.maximum(degree[src], degree[dst]))
    given = np.bincount(dst, weights=weight, minlength=num_devices)
    return weight, np.subtract(1.0, given, dtype=np.float64)
