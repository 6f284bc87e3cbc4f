"""Densities that a controller sets: each device's method as it is from training to training."""

from collections.abc import Iterable

from cosim.learning.methods.base import Method


class Densities:
    """The method of each device.

    What is set for a device holds from the beginning of its next training to that of the one after,
    for all that it sends, merges and takes over in between, so that an update is as dense as the
    training that it is of.

    Args:
        method: of every device for which nothing is set.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self._set: dict[int, float] = {}
        self._in_force: dict[int, Method] = {}

    def set(self, devices: Iterable[int], density: Iterable[float]) -> None:
        """Set the densities of some devices, from their next trainings on.

        Raises:
            ValueError: the method takes no density.
        """
        self._method.at_density(1.0)
        self._set.update(zip(devices, density, strict=True))

    def begin(self, device: int) -> None:
        """Note that a device begins a training."""
        if device in self._set:
            self._in_force[device] = self._method.at_density(self._set[device])

    def of(self, device: int) -> Method:
        """Return a device's method as it is now."""
        return self._in_force.get(device, self._method)
