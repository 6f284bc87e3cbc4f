"""Paths: where every device is at any time, out of the knots that its mobility model yields."""

from collections.abc import Iterator, Sequence

import numpy as np

from cosim.plugin import kind_of
from cosim.rng import Draws
from cosim.world.mobility.base import Knots, Member, Mobility
from cosim.world.polylines import Legs, Polylines


class Paths(Polylines):
    """One row for each device: (x, y, travelled) in metres, velocity and speed as the slope.

    Args:
        draws: the scenario's random numbers.
        mobilities: the mobility model of each device, in device order.
        members: each device as its model sees it.
    """

    def __init__(
        self, draws: Draws, mobilities: Sequence[Mobility], members: Sequence[Member]
    ) -> None:
        super().__init__(width=3, rows=len(mobilities))
        self._mobilities = mobilities
        self._sources: list[Iterator[Knots]] = [
            mobility.path(draws, member)
            for mobility, member in zip(mobilities, members, strict=True)
        ]
        # The last knot read of each device, where its next leg starts.
        self._last: list[Knots | None] = [None] * len(mobilities)
        self._travelled_m = [0.0] * len(mobilities)

    def _more(self, row: int, known: Legs, until_s: float) -> Legs:
        """Read knots until a leg ends beyond `until_s`.

        Raises:
            ValueError: the mobility model broke its contract.
        """
        last = self._last[row]
        read = [] if last is None else [last]
        end_s = known.end_s
        while end_s <= until_s:
            stretch = next(self._sources[row], None)
            if stretch is None:
                end_s = np.inf  # stay at the last knot for ever
                if read:
                    read.append(Knots(np.array([end_s]), read[-1].xy_m[-1:]))
            else:
                read.append(stretch)
                end_s = stretch.t_s[-1] if stretch.t_s.size else end_s
            self._check(row, read)
        self._last[row] = Knots(read[-1].t_s[-1:], read[-1].xy_m[-1:])
        t_s = np.concatenate([knots.t_s for knots in read])
        xy_m = np.concatenate([knots.xy_m for knots in read])
        duration_s = np.diff(t_s)[:, np.newaxis]
        step_m = np.diff(xy_m, axis=0)
        length_m = np.hypot(step_m[:, 0], step_m[:, 1])
        step_m = np.column_stack([step_m, length_m])  # [K, 3]
        velocity_mps = np.divide(
            step_m, duration_s, out=np.zeros_like(step_m), where=duration_s > 0.0
        )
        # Added up from leg to leg, so that the sum rounds the same however far it is read at once.
        before_m = self._travelled_m[row]
        travelled_m = np.cumsum(np.concatenate([[before_m], length_m]))
        self._travelled_m[row] = float(travelled_m[-1])
        value = np.column_stack([xy_m[:-1], travelled_m[:-1]])
        return Legs(t_s[:-1], value, velocity_mps, float(end_s))

    def _check(self, device: int, read: list[Knots]) -> None:
        """Hold the newest stretch of `read` against the contract of Mobility."""
        kind = kind_of(self._mobilities[device])
        if not read:
            raise ValueError(
                f"mobility {kind}, device {device}: expected a knot, got an empty path"
            )
        t_s, xy_m = read[-1].t_s, read[-1].xy_m
        begin_s = read[-2].t_s[-1] if len(read) > 1 else 0.0
        problem = ""
        if t_s.ndim != 1 or not t_s.size or xy_m.shape != (t_s.size, 2):
            problem = f"expected times [K] and points [K, 2], got {t_s.shape} and {xy_m.shape}"
        elif len(read) == 1 and self._last[device] is None and t_s[0] != 0.0:
            problem = f"expected the first knot at 0 s, got {t_s[0]} s"
        elif t_s[0] < begin_s or np.any(np.diff(t_s) < 0.0):
            problem = f"expected times that never decrease from {begin_s} s on, got {t_s} s"
        elif not np.isfinite(xy_m).all() or np.isnan(t_s).any():
            problem = "expected finite numbers, got NaN or infinity"
        if problem:
            raise ValueError(f"mobility {kind}, device {device}: {problem}")
