"""Energy: what each device has used and for what, exactly, and when its battery runs out.

A device's power draw changes only at events (a transfer starts or ends, a training starts or
ends), so energy is a sum of power x time, and the instant a battery empties is known as soon as
the draw changes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import simpy

from cosim.sim.check import InvariantError

Use = Literal["transmit", "receive", "compute", "idle"]
USES: tuple[Use, ...] = get_args(Use)


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
        devices = len(self._battery_j)
        self._used_j = {use: [0.0] * devices for use in USES}
        self._draw_w = {use: [0.0] * devices for use in USES}
        self._settled_s = {use: [0.0] * devices for use in USES}
        self._forecast = [0] * devices  # only the newest forecast of a device counts

    def used_for_j(self, use: Use, device: int) -> float:
        """Return the energy that a device has used for one thing until now."""
        since_s = self._env.now - self._settled_s[use][device]
        return self._used_j[use][device] + self._draw_w[use][device] * since_s

    def used_j(self, device: int) -> float:
        """Return the energy that a device has used until now."""
        used_j = math.fsum(self.used_for_j(use, device) for use in USES)
        return min(used_j, self._battery_j[device])

    def total_j(self) -> float:
        """Return the energy that all devices have used until now."""
        return math.fsum(self.used_j(device) for device in range(len(self._battery_j)))

    def left_j(self, device: int) -> float:
        """Return what is left in a device's battery; infinity if it never empties."""
        return self._battery_j[device] - self.used_j(device)

    def is_empty(self, device: int) -> bool:
        """Return whether a device's battery is at zero."""
        return self.left_j(device) <= 0.0

    def add_draw(self, device: int, power_w: float, use: Use) -> None:
        """Add to a device's power draw from now on; negative to take it away again."""
        before_j, used_j = self._used_j[use][device], self.used_for_j(use, device)
        if not used_j >= before_j:
            raise InvariantError(f"device {device} used {before_j} J, and then {used_j} J")
        self._used_j[use][device] = used_j
        self._settled_s[use][device] = self._env.now
        draw_w = self._draw_w[use][device] + power_w
        if draw_w < -1e-9 * abs(power_w):
            raise InvariantError(f"device {device} would draw {draw_w} W for {use}, below zero")
        # What was added and taken away again may leave a rounding error behind.
        self._draw_w[use][device] = draw_w if draw_w > 1e-12 * abs(power_w) else 0.0
        if self._battery_j[device] < math.inf:
            self._foresee(device)

    def _foresee(self, device: int) -> None:
        self._forecast[device] += 1
        left_j = self.left_j(device)
        draw_w = math.fsum(self._draw_w[use][device] for use in USES)
        if left_j <= 0:
            wait_s = 0.0
        elif draw_w > 0:
            wait_s = left_j / draw_w
        else:
            return
        forecast = self._forecast[device]
        timeout = self._env.timeout(wait_s)
        timeout.callbacks.append(lambda _: self._run_out(device, forecast))

    def _run_out(self, device: int, forecast: int) -> None:
        if forecast != self._forecast[device]:
            return  # the draw has changed since
        # Rounding may leave the sum a hair below the battery; from now on it is empty.
        self._battery_j[device] = min(
            self._battery_j[device],
            math.fsum(self.used_for_j(use, device) for use in USES),
        )
        self._on_empty(device)
