"""Energy: what each device has used, exactly, and when its battery runs out.

A device's power draw changes only at events (a transfer starts or ends, a training starts or
ends), so energy is a sum of power x time, and the instant a battery empties is known as soon as
the draw changes.
"""

import math
from collections.abc import Callable, Sequence

import simpy

from cosim.sim.check import InvariantError


class EnergyMeter:
    """Joules used by every device, and their batteries.

    Args:
        env: the event loop.
        battery_j: each device's battery; None for one that never empties.
        on_empty: called with a device's number at the instant its battery empties.
    """

    def __init__(
        self,
        env: simpy.Environment,
        battery_j: Sequence[float | None],
        on_empty: Callable[[int], None],
    ) -> None:
        self._env = env
        self._battery_j = [math.inf if level is None else level for level in battery_j]
        self._on_empty = on_empty
        self._used_j = [0.0] * len(self._battery_j)
        self._draw_w = [0.0] * len(self._battery_j)
        self._settled_s = [0.0] * len(self._battery_j)
        self._forecast = [0] * len(self._battery_j)  # only the newest forecast of a device counts

    def used_j(self, device: int) -> float:
        """Return the energy that a device has used until now."""
        idle_s = self._env.now - self._settled_s[device]
        return min(self._used_j[device] + self._draw_w[device] * idle_s, self._battery_j[device])

    def total_j(self) -> float:
        """Return the energy that all devices have used until now."""
        return math.fsum(self.used_j(device) for device in range(len(self._used_j)))

    def is_empty(self, device: int) -> bool:
        """Return whether a device's battery is at zero."""
        return self.used_j(device) >= self._battery_j[device]

    def add_draw(self, device: int, power_w: float) -> None:
        """Add to a device's power draw from now on; negative to take it away again."""
        self._settle(device)
        draw_w = self._draw_w[device] + power_w
        if draw_w < -1e-9 * abs(power_w):
            raise InvariantError(f"device {device} would draw {draw_w} W, below zero")
        # What was added and taken away again may leave a rounding error behind.
        self._draw_w[device] = draw_w if draw_w > 1e-12 * abs(power_w) else 0.0
        self._foresee(device)

    def _settle(self, device: int) -> None:
        used_j, before_j = self.used_j(device), self._used_j[device]
        if not used_j >= before_j:
            raise InvariantError(f"device {device} used {before_j} J, and then {used_j} J")
        self._used_j[device] = used_j
        self._settled_s[device] = self._env.now

    def _foresee(self, device: int) -> None:
        if math.isinf(self._battery_j[device]):
            return
        self._forecast[device] += 1
        left_j = self._battery_j[device] - self._used_j[device]
        if left_j <= 0:
            wait_s = 0.0
        elif self._draw_w[device] > 0:
            wait_s = left_j / self._draw_w[device]
        else:
            return
        forecast = self._forecast[device]
        timeout = self._env.timeout(wait_s)
        timeout.callbacks.append(lambda _: self._run_out(device, forecast))

    def _run_out(self, device: int, forecast: int) -> None:
        if forecast != self._forecast[device]:
            return  # the draw has changed since
        self._used_j[device] = self._battery_j[device]
        self._settled_s[device] = self._env.now
        self._on_empty(device)
