"""Domains: whose band a flow shares.

- `per_transmitter`: every device has the band to itself, and divides it among its own flows.
- `per_cluster`: the flows that leave the devices of one cluster share the band.
- `per_cell`: the flows of one cell share it. A flow to or from a base station is of that station's
  cell; one between two other devices is of the cell whose station its source hears best when the
  flow starts. Without base stations all flows are of one cell.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cosim.world.world import World


class Domains:
    """Numbers of domains.

    Args:
        shared_by: `per_transmitter`, `per_cluster` or `per_cell`.
        world: mean gains.
        num_devices: how many devices there are.
        is_base: whether each is a base station; None for no base stations.
    """

    def __init__(
        self,
        shared_by: str,
        world: World,
        num_devices: int,
        is_base: Sequence[bool] | None = None,
    ) -> None:
        self._shared_by = shared_by
        self._world = world
        self._num_devices = num_devices
        self._is_base = np.zeros(num_devices, bool) if is_base is None else np.array(is_base, bool)
        self._bases = np.flatnonzero(self._is_base)
        self._cluster = np.arange(num_devices)

    def set_clusters(self, cluster: ArrayLike) -> None:
        """Say which cluster each device is in; a device of cluster -1 is one of its own.

        Raises:
            ValueError: not one number for each device.
        """
        numbers = np.asarray(cluster, dtype=np.int64)
        if numbers.shape != (self._num_devices,):
            raise ValueError(
                f"expected a cluster for each of {self._num_devices} devices, "
                f"got an array of shape {numbers.shape}"
            )
        self._cluster = np.where(numbers >= 0, numbers, -1 - np.arange(self._num_devices))

    def of(self, src: int, receivers: Sequence[int], now_s: float) -> int:
        """Return the domain of a flow that starts now."""
        if self._shared_by == "per_transmitter":
            return src
        if self._shared_by == "per_cluster":
            return int(self._cluster[src])
        for end in (src, *receivers):
            if self._is_base[end]:
                return end
        if not len(self._bases):
            return 0
        return self._world.strongest(src, self._bases, now_s)
