"""Energy: what each device has used and for what, exactly, and when its battery runs out.

What a device draws to receive, to compute and in idling changes only at events, so that energy is
a sum of power x time. What it transmits with follows its flows, which may have turns: that energy
is asked for. A battery is looked at when it can be empty at the earliest, everything that may be
transmitted taken as such, and again until it is: each time what was left falls by the part of it
that was used.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import simpy

from cosim.radio.sampling import tolerance_s
from cosim.sim.check import InvariantError

Use = Literal["transmit", "receive", "compute", "idle"]
USES: tuple[Use, ...] = get_args(Use)
Draw = Literal["receive", "compute", "idle"]
_DRAWS: tuple[Draw, ...] = get_args(Draw)

_EMPTY = 1e-9  # of a battery: with less than this left it is empty


class EnergyMeter:
    """Joules used by every device, and their batteries.

    Args:
        env: the event loop.
        battery_j: each device's battery; None for one that never empties.
        on_empty: called with a device's number at the instant its battery empties.
        transmitted_j: returns what a device has drawn until now to transmit.
    """

    def __init__(
        self,
        env: simpy.Environment,
        battery_j: Sequence[float | None],
        on_empty: Callable[[int], None],
        transmitted_j: Callable[[int], float],
    ) -> None:
        self._env = env
        self._battery_j = [math.inf if level is None else level for level in battery_j]
        self._capacity_j = list(self._battery_j)
        self._on_empty = on_empty
        self._transmitted_j = transmitted_j
        devices = len(self._battery_j)
        self._used_j = {draw: [0.0] * devices for draw in _DRAWS}
        self._draw_w = {draw: [0.0] * devices for draw in _DRAWS}
        self._settled_s = {draw: [0.0] * devices for draw in _DRAWS}
        self._most_w = [0.0] * devices  # that transmitting may draw
        self._forecast = [0] * devices  # only the newest forecast of a device counts

    def used_for_j(self, use: Use, device: int) -> float:
        """Return the energy that a device has used for one thing until now."""
        if use == "transmit":
            return self._transmitted_j(device)
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

    def add_draw(self, device: int, power_w: float, use: Draw) -> None:
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
        self._foresee(device)

    def may_transmit(self, device: int, most_w: float) -> None:
        """Say how much a device draws to transmit from now on, at most."""
        self._most_w[device] = most_w
        self._foresee(device)

    def _foresee(self, device: int) -> None:
        if self._battery_j[device] == math.inf:
            return
        self._forecast[device] += 1
        most_w = math.fsum(self._draw_w[draw][device] for draw in _DRAWS) + self._most_w[device]
        if self._is_as_good_as_empty(device, most_w):
            wait_s = 0.0
        elif most_w > 0.0:
            wait_s = self.left_j(device) / most_w
        else:
            return
        forecast = self._forecast[device]
        timeout = self._env.timeout(wait_s)
        timeout.callbacks.append(lambda _: self._look(device, forecast, most_w))

    def _is_as_good_as_empty(self, device: int, most_w: float) -> bool:
        """Return whether so little is left that it is rounding, or gone within an instant."""
        least_j = max(_EMPTY * self._capacity_j[device], most_w * tolerance_s(self._env.now))
        return self.left_j(device) <= least_j

    def _look(self, device: int, forecast: int, most_w: float) -> None:
        """Look at a battery that may be empty."""
        if forecast != self._forecast[device]:
            return  # what it may draw has changed since
        if not self._is_as_good_as_empty(device, most_w):
            self._foresee(device)
            return
        # From now on it is empty, whatever rounding has left.
        self._battery_j[device] = min(
            self._battery_j[device],
            math.fsum(self.used_for_j(use, device) for use in USES),
        )
        self._on_empty(device)
