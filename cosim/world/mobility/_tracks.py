"""From samples to paths: cut to a time and a region, merged where straight, spooled to disk.

Between two samples of a vehicle its path is a straight leg at constant speed. A leg is a line in
(t, x, y) and the cut is a box there, so a vehicle takes part from the point where it first comes
into the box to the point where it first leaves it (clipped as by Liang and Barsky, "A new concept
and method for line clipping", ACM TOG 1984).

Legs are merged while they are straight: from the last knot, each sample leaves open the velocities
that pass it within the tolerance, and the next sample can be reached in one leg if its own velocity
is still open. So every knot is a sample or a point of the cut's border, and no position differs by
more than the tolerance along x or y.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.limits import BOUNDS
from cosim.world.mobility._source import TraceError
from cosim.world.mobility._spool import Spool

_INF = math.inf
_FASTEST_MPS = BOUNDS["m/s"].most


@dataclass(frozen=True)
class Cut:
    """The box of the trace that is simulated: trace times and coordinates, borders included."""

    start_s: float = -_INF
    end_s: float = _INF
    x0_m: float = -_INF
    y0_m: float = -_INF
    x1_m: float = _INF
    y1_m: float = _INF

    def clip(
        self, before: tuple[float, float, float], after: tuple[float, float, float]
    ) -> tuple[float, float] | None:
        """Return the part of the leg between two (t, x, y) that is inside, as fractions of it.

        None if that part has no duration.
        """
        first, last = 0.0, 1.0
        low, high = (
            (self.start_s, self.x0_m, self.y0_m),
            (self.end_s, self.x1_m, self.y1_m),
        )
        for a, b, least, most in zip(before, after, low, high, strict=True):
            step = b - a
            if step == 0.0:
                if not least <= a <= most:
                    return None
                continue
            enters, leaves = (least - a) / step, (most - a) / step
            if step < 0.0:
                enters, leaves = leaves, enters
            first, last = max(first, enters), min(last, leaves)
        return (first, last) if first < last else None


class _Track:
    """What is known of one vehicle while the file is read.

    Attributes:
        order: its place among the vehicles in order of first appearance in the file.
        t, x, y: the newest sample.
        path: its number in the spool; -1 before it takes part.
        enter, leave: when it takes part; `leave` is infinite while it does.
        anchor_t, anchor_x, anchor_y: the last knot.
        vx0, vx1, vy0, vy1: the velocities from the last knot that are still open.
    """

    __slots__ = (
        "anchor_t", "anchor_x", "anchor_y", "enter", "leave", "order", "path",
        "t", "vx0", "vx1", "vy0", "vy1", "x", "y",
    )  # fmt: skip

    def __init__(self, order: int, t: float, x: float, y: float) -> None:
        self.order = order
        self.t, self.x, self.y = t, x, y
        self.path = -1
        self.enter = self.leave = _INF
        self.anchor_t, self.anchor_x, self.anchor_y = t, x, y
        self.vx0 = self.vy0 = -_INF
        self.vx1 = self.vy1 = _INF


@dataclass(frozen=True)
class Recording:
    """The paths of a cut trace, in the order in which they enter the cut.

    Attributes:
        name: each path's vehicle, as the trace names it.
        enter_s, leave_s: when each takes part, in trace time [N]; `leave_s` is infinite for one
            that stays for ever.
        box_m: (x0, y0, x1, y1) that holds all positions of the file.
        start_s: the trace time that is simulated time 0.
        knots: all knots, in trace time and coordinates.
        path: the number of each path in `knots` [N].
        fastest_mps: the largest speed in the cut.
    """

    name: tuple[str, ...]
    enter_s: NDArray[np.float64]
    leave_s: NDArray[np.float64]
    box_m: tuple[float, float, float, float]
    start_s: float
    knots: Spool
    path: NDArray[np.int64]
    fastest_mps: float


class Tracks:
    """Takes the samples of a trace in the order of the file.

    Args:
        cut: what of the trace is simulated; its start is finite.
        error: makes the error of a message, with the place in the file.
        tolerance_m: how far a merged leg may be off a sample, along x and along y.
        max_gap_s: the longest time between two samples of a vehicle while it is inside.
        lasting: whether vehicles are there from the start, and for ever after their last sample.
        thing: what a vehicle is called in messages.
    """

    def __init__(
        self,
        cut: Cut,
        error: Callable[[str], TraceError],
        *,
        tolerance_m: float,
        max_gap_s: float = _INF,
        lasting: bool = False,
        thing: str = "vehicle",
    ) -> None:
        self.cut = cut
        self._error = error
        self._tolerance_m = tolerance_m
        self._max_gap_s = max_gap_s
        self._lasting = lasting
        self._thing = thing
        self._tracks: dict[str, _Track] = {}
        self._spool = Spool()
        self._first_t = _INF
        self._fastest_mps = 0.0
        self._x0 = self._y0 = _INF
        self._x1 = self._y1 = -_INF

    def __len__(self) -> int:
        return len(self._tracks)

    def sample(self, name: str, t: float, x: float, y: float) -> None:
        """Take one sample: vehicle `name` is at (x, y) at trace time t.

        Raises:
            TraceError: it contradicts the samples before it.
        """
        track = self._tracks.get(name)
        if track is None:
            self._begin(name, t, x, y)
            return
        before_t, cut = track.t, self.cut
        if not before_t < t or not math.isfinite(t + x + y):
            raise self._wrong(name, track, t, x, y)
        self.see(x, y)
        if (
            track.path < 0
            or track.leave < _INF
            or not (t <= cut.end_s and t - before_t <= self._max_gap_s)
            or not (cut.x0_m <= x <= cut.x1_m and cut.y0_m <= y <= cut.y1_m)
        ):
            self._cross(name, track, t, x, y)
        else:
            self._extend(track, t, x, y)
        track.t, track.x, track.y = t, x, y

    def see(self, x: float, y: float) -> None:
        """Note a position that is in the trace, but of nothing that takes part."""
        if x < self._x0:
            self._x0 = x
        if x > self._x1:
            self._x1 = x
        if y < self._y0:
            self._y0 = y
        if y > self._y1:
            self._y1 = y

    def span_s(self) -> tuple[float, float]:
        """Return the first and the last time of all samples."""
        return self._first_t, max(track.t for track in self._tracks.values())

    def finish(self, min_stay_s: float) -> Recording:
        """Return the paths of all that stay in the cut for at least `min_stay_s`."""
        for name, track in self._tracks.items():
            if self._lasting and track.t < self.cut.end_s:  # stand at the last point
                end_t = self.cut.end_s
                end_t = max(track.t, self.cut.start_s) + 1.0 if end_t == _INF else end_t
                self.sample(name, end_t, track.x, track.y)
            if track.path >= 0 and track.leave == _INF:
                stays = self._lasting and self.cut.end_s == _INF
                self._close(track, _INF if stays else track.t)
        self._spool.finish()
        staying = [
            (track.enter, track.order, name, track)
            for name, track in self._tracks.items()
            if track.path >= 0 and track.leave - track.enter >= min_stay_s
        ]
        staying.sort(key=lambda each: each[:2])
        return Recording(
            name=tuple(name for _, _, name, _ in staying),
            enter_s=np.array([enter for enter, _, _, _ in staying], dtype=np.float64),
            leave_s=np.array([track.leave for _, _, _, track in staying], dtype=np.float64),
            box_m=(self._x0, self._y0, self._x1, self._y1),
            start_s=self.cut.start_s,
            knots=self._spool,
            path=np.array([track.path for _, _, _, track in staying], dtype=np.int64),
            fastest_mps=self._fastest_mps,
        )

    def _begin(self, name: str, t: float, x: float, y: float) -> None:
        if not math.isfinite(t + x + y):
            raise self._not_finite(name, t, x, y)
        self.see(x, y)
        self._first_t = min(self._first_t, t)
        early = self._lasting and t > self.cut.start_s
        self._tracks[name] = _Track(len(self._tracks), self.cut.start_s if early else t, x, y)
        if early:
            self.sample(name, t, x, y)

    def _wrong(self, name: str, track: _Track, t: float, x: float, y: float) -> TraceError:
        if not math.isfinite(t + x + y):
            return self._not_finite(name, t, x, y)
        which = f"{self._thing} {name!r}"
        if t == track.t:
            return self._error(f"expected {which} once at {t:.10g} s, got it twice")
        return self._error(
            f"expected times that increase for {which}, got {t:.10g} s after {track.t:.10g} s"
        )

    def _not_finite(self, name: str, t: float, x: float, y: float) -> TraceError:
        return self._error(
            f"expected finite numbers for {self._thing} {name!r}, got t = {t}, x = {x}, y = {y}"
        )

    def _cross(self, name: str, track: _Track, t: float, x: float, y: float) -> None:
        """Take a leg that may come into the cut, or leave it."""
        if track.leave < _INF:
            return
        t0, x0, y0 = track.t, track.x, track.y
        first, last = self.cut.clip((t0, x0, y0), (t, x, y)) or (0.0, 0.0)
        enter, leave = t0 + first * (t - t0), t0 + last * (t - t0) if last < 1.0 else t
        if not enter < leave:  # all of the leg is outside, or more than can be told apart
            if track.path >= 0:
                self._close(track, t0)
            return
        if t - t0 > self._max_gap_s:
            raise self._error(
                f"expected a sample of {self._thing} {name!r} at least every {self._max_gap_s:g} s "
                f"(max_gap), got none from {t0:.10g} s to {t:.10g} s; a larger max_gap joins the "
                "two by a straight line"
            )
        if track.path < 0:
            track.path = self._spool.open()
            track.enter = track.anchor_t = enter
            self._knot(track, enter, x0 + first * (x - x0), y0 + first * (y - y0))
        if last == 1.0:
            self._extend(track, t, x, y)
            return
        x, y = x0 + last * (x - x0), y0 + last * (y - y0)
        self._extend(track, leave, x, y)
        track.t, track.x, track.y = leave, x, y
        self._close(track, leave)

    def _extend(self, track: _Track, t: float, x: float, y: float) -> None:
        """Let a path go on from its newest sample to (t, x, y), in the same leg if it can."""
        elapsed = t - track.anchor_t
        vx, vy = (x - track.anchor_x) / elapsed, (y - track.anchor_y) / elapsed
        slack = self._tolerance_m / elapsed
        if track.vx0 <= vx <= track.vx1 and track.vy0 <= vy <= track.vy1:
            if vx - slack > track.vx0:
                track.vx0 = vx - slack
            if vx + slack < track.vx1:
                track.vx1 = vx + slack
            if vy - slack > track.vy0:
                track.vy0 = vy - slack
            if vy + slack < track.vy1:
                track.vy1 = vy + slack
            return
        self._knot(track, track.t, track.x, track.y)
        elapsed = t - track.t
        vx, vy = (x - track.x) / elapsed, (y - track.y) / elapsed
        slack = self._tolerance_m / elapsed
        track.vx0, track.vx1 = vx - slack, vx + slack
        track.vy0, track.vy1 = vy - slack, vy + slack

    def _knot(self, track: _Track, t: float, x: float, y: float) -> None:
        """Begin a leg."""
        self._mark(track, t, x, y)
        track.anchor_t, track.anchor_x, track.anchor_y = t, x, y
        track.vx0 = track.vy0 = -_INF
        track.vx1 = track.vy1 = _INF

    def _close(self, track: _Track, leave: float) -> None:
        """End a path at its newest sample."""
        self._mark(track, track.t, track.x, track.y)
        track.leave = leave

    def _mark(self, track: _Track, t: float, x: float, y: float) -> None:
        """Put down a knot, which ends the leg before it if there is one."""
        if t > track.anchor_t:
            speed_mps = math.hypot(x - track.anchor_x, y - track.anchor_y) / (t - track.anchor_t)
            if speed_mps > self._fastest_mps:
                self._fastest_mps = speed_mps
            if speed_mps > _FASTEST_MPS:
                raise self._error(self._too_fast(track, t, speed_mps))
        self._spool.add(track.path, t, x, y)

    def _too_fast(self, track: _Track, t: float, speed_mps: float) -> str:
        name = next(name for name, each in self._tracks.items() if each is track)
        return (
            f"expected speeds of at most {_FASTEST_MPS:g} m/s, got {self._thing} {name!r} at "
            f"{speed_mps:.3g} m/s from {track.anchor_t:.10g} s to {t:.10g} s; positions are metres "
            "and times seconds"
        )
