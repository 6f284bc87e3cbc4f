"""What all traces have in common: keys, the cut, and from a recording to a device's knots.

A file is read once, in one pass, into a temporary file of knots; what stays in memory grows with
the number of vehicles and not with the length of the trace.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cosim.on_disk import OnDisk
from cosim.rng import Draws
from cosim.units import Coordinate, Metres, Seconds
from cosim.wording import show
from cosim.world.area.base import Area
from cosim.world.mobility._source import Source, TraceError
from cosim.world.mobility._tracks import Cut, Recording, Tracks
from cosim.world.mobility.base import Knots, Member, Mobility, Survey

_RECORDINGS = 16  # that are kept at once, more than groups; each is a file on disk and an index


def _four(region: Any) -> Any:
    """Refuse what is no list of four, such as two pairs, and show the right form."""
    if isinstance(region, list | tuple) and len(region) == 4:
        return region
    meant = ""
    if isinstance(region, list | tuple) and all(isinstance(each, list | tuple) for each in region):
        flat = [item for pair in region for item in pair]
        meant = f"; did you mean [{', '.join(map(str, flat))}]?" if len(flat) == 4 else ""
    raise PydanticCustomError(
        "region",
        "expected [x0, y0, x1, y1], such as [0 m, 0 m, 400 m, 300 m], got {value}{meant}",
        {"value": show(region), "meant": meant},
    )


def _corners(region_m: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = region_m
    if not (x0 < x1 and y0 < y1):
        a0, a1, b0, b1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        right = a0 < a1 and b0 < b1
        raise PydanticCustomError(
            "region",
            "expected [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got {got}{meant}",
            {
                "got": _in_metres(x0, y0, x1, y1),
                "meant": f"; did you mean {_in_metres(a0, b0, a1, b1)}?" if right else "",
            },
        )
    return region_m


def _in_metres(*values_m: float) -> str:
    return f"[{', '.join(f'{each:.10g} m' for each in values_m)}]"


Region = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate],
    BeforeValidator(_four),
    AfterValidator(_corners),
]


class Trace(Mobility):
    """Contract of the traces: each device of a group follows one vehicle of a file.

    Between two positions a vehicle moves on a straight line at constant speed. It takes part from
    when it comes into the cut (`start`, `duration`, `region`) until it first leaves it; before and
    after it stands at its first and last point. The k-th device of a group follows the k-th
    vehicle in the order in which they enter; of those that enter together, the first in the file.
    All positions must be in the scenario's area.

    Attributes:
        file: the trace, in the scenario's `data_root`; unpacked if it is gzip.
        start_s: the trace time that is simulated time 0; None for the first time in the file.
        duration_s: how much of the trace counts; None for all.
        region_m: (x0, y0, x1, y1) in the trace's coordinates, the part of the plane that counts;
            None for all.
        origin_m: the point of the trace that is the area's origin; None for the centre of the
            region, or else of the box that holds all positions of the file.
        min_stay_s: vehicles that take part for a shorter time are left out.
        tolerance_m: how far along x and along y a path may be off the file's positions, for
            samples on a straight line to be one leg. The default is what two decimals tell.
    """

    file: Annotated[str, OnDisk()]
    start_s: Seconds | None = None
    duration_s: Annotated[Seconds, Field(gt=0)] | None = None
    region_m: Region | None = None
    origin_m: tuple[Coordinate, Coordinate] | None = None
    min_stay_s: Annotated[Seconds, Field(ge=0)] = 0.0
    tolerance_m: Annotated[Metres, Field(ge=0)] = 0.01

    lasting: ClassVar[bool] = False
    """Whether vehicles are there from the start and stay after the last position of the file."""
    thing: ClassVar[str] = "vehicle"
    """What the format calls one, in messages."""

    @abstractmethod
    def feed(self, source: Source, tracks: Tracks) -> None:
        """Hand every sample of the file to `tracks.sample`, each vehicle's in order of time."""

    @abstractmethod
    def first_time_s(self, source: Source) -> float:
        """Return the first time in the file."""

    def gap_s(self) -> float:
        """Return the longest time between two samples of a vehicle that is no mistake."""
        return math.inf

    @property
    def box_matters(self) -> bool:
        """Whether the origin depends on all positions of the file."""
        return self.region_m is None and self.origin_m is None

    def num_members(self, data_root: Path) -> int:
        """Return how many vehicles the cut trace has.

        Raises:
            TraceError: the trace cannot be used; the text says where in the file, what was
                expected and what was found.
        """
        return len(self._recording(data_root).name)

    def survey(self, area: Area, count: int, data_root: Path) -> Survey:
        """Look whether the trace has `count` vehicles and whether the area holds all they do.

        Raises:
            TraceError: as `max_speed_mps`.
        """
        recording = self._recording(data_root)
        members = [Member(0, index, count, 0, area, data_root) for index in range(count)]
        self._index(recording, members[0])
        x0, y0, x1, y1 = self._extent_m(recording)
        corners_m = np.array([(x0, y0), (x0, y1), (x1, y0), (x1, y1)])
        if not area.contains(corners_m).all():  # the paths themselves may be inside even so
            for member in members:
                self.max_speed_mps(member)
        return Survey(recording.fastest_mps, math.inf)

    def max_speed_mps(self, member: Member) -> float:
        """Return the largest speed of the device's vehicle.

        Raises:
            TraceError: as `num_members`; or the group has more devices than the trace vehicles;
                or the vehicle comes out of the area.
        """
        fastest_mps = 0.0
        last: NDArray[np.float64] = np.empty((0, 3))
        for stretch in self._stretches(member):
            txy = np.concatenate([last, stretch])
            step = np.diff(txy, axis=0)
            if step.size:
                speed_mps = np.hypot(step[:, 1], step[:, 2]) / step[:, 0]
                fastest_mps = max(fastest_mps, float(speed_mps.max()))
            last = stretch[-1:]
        return fastest_mps

    def presence_s(self, member: Member) -> tuple[float, float]:
        """Return when the device's vehicle enters the cut and when it leaves it."""
        recording = self._recording(member.data_root)
        index = self._index(recording, member)
        enter_s = float(recording.enter_s[index]) - recording.start_s
        return enter_s, float(recording.leave_s[index]) - recording.start_s

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Return the knots of the device's vehicle; before it enters it stands at its first."""
        return self._path(self._stretches(member))

    @staticmethod
    def _path(stretches: Iterator[NDArray[np.float64]]) -> Iterator[Knots]:
        first = next(stretches)
        if first[0, 0] > 0.0:
            yield Knots(np.zeros(1), first[:1, 1:])
        yield Knots(first[:, 0], first[:, 1:])
        for stretch in stretches:
            yield Knots(stretch[:, 0], stretch[:, 1:])

    def _stretches(self, member: Member) -> Iterator[NDArray[np.float64]]:
        """Return an iterator of [K, 3], (t_s, x_m, y_m) in simulated time and the area."""
        recording = self._recording(member.data_root)
        index = self._index(recording, member)
        return self._shifted(recording, index, member)

    def _shifted(
        self, recording: Recording, index: int, member: Member
    ) -> Iterator[NDArray[np.float64]]:
        offset = np.array([recording.start_s, *self._origin_m(recording)])
        for stretch in recording.knots.read(int(recording.path[index])):
            shifted = stretch - offset
            inside = member.area.contains(shifted[:, 1:])
            if not inside.all():
                point_m = shifted[np.argmin(inside), 1:]
                raise TraceError(self._outside(recording, index, member.area, point_m))
            yield shifted

    def _outside(
        self, recording: Recording, index: int, area: Area, point_m: NDArray[np.float64]
    ) -> str:
        x0, y0, x1, y1 = self._extent_m(recording)
        width_m, height_m = (2.0 * max(abs(a), abs(b)) for a, b in ((x0, x1), (y0, y1)))
        xs, ys = area.extent_m()[::2], area.extent_m()[1::2]
        return (
            f"{self.file}: expected all positions in the area (x {xs[0]:g} to {xs[1]:g} m, "
            f"y {ys[0]:g} to {ys[1]:g} m), got {self.thing} {recording.name[index]!r} at "
            f"({point_m[0]:g} m, {point_m[1]:g} m) from the origin; use an area that holds it, "
            f"such as {{kind: rectangle, width: {_up(width_m)} m, height: {_up(height_m)} m}}, or "
            "a smaller `region`"
        )

    def _extent_m(self, recording: Recording) -> tuple[float, float, float, float]:
        """Return the box (x0, y0, x1, y1) of what is simulated, from the area's origin."""
        x0, y0, x1, y1 = recording.box_m
        if self.region_m is not None:
            a0, b0, a1, b1 = self.region_m
            x0, y0, x1, y1 = max(x0, a0), max(y0, b0), min(x1, a1), min(y1, b1)
        x_m, y_m = self._origin_m(recording)
        return x0 - x_m, y0 - y_m, x1 - x_m, y1 - y_m

    def _origin_m(self, recording: Recording) -> tuple[float, float]:
        if self.origin_m is not None:
            return self.origin_m
        x0, y0, x1, y1 = self.region_m or recording.box_m
        return (x0 + x1) / 2.0, (y0 + y1) / 2.0

    def _index(self, recording: Recording, member: Member) -> int:
        if member.count > len(recording.name):
            raise TraceError(
                f"{self.file}: expected at most {len(recording.name)} devices, as many as there "
                f"are {self.thing}s in the cut trace, got a group of {member.count}; leave out "
                "`count`, or cut less away"
            )
        return member.index

    def _recording(self, data_root: Path) -> Recording:
        path = data_root / self.file
        if not path.is_file():
            return self.record(path)  # which says what is wrong
        status = path.stat()
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return _read(self, path, stamp)

    def record(self, path: Path) -> Recording:
        """Read the file.

        Raises:
            TraceError: as `num_members`.
        """
        if self.start_s is None:
            with Source(path) as source:
                start_s = self.first_time_s(source)
        else:
            start_s = self.start_s
        end_s = math.inf if self.duration_s is None else start_s + self.duration_s
        cut = Cut(start_s, end_s, *(self.region_m or ()))
        with Source(path) as source:
            tracks = Tracks(
                cut,
                source.error,
                tolerance_m=self.tolerance_m,
                max_gap_s=self.gap_s(),
                lasting=self.lasting,
                thing=self.thing,
            )
            self.feed(source, tracks)
        if not len(tracks):
            raise TraceError(f"{path}: expected positions of {self.thing}s, got none")
        recording = tracks.finish(self.min_stay_s)
        if not recording.name:
            raise TraceError(f"{path}: {self._nothing_left(recording, tracks)}")
        return recording

    def _nothing_left(self, recording: Recording, tracks: Tracks) -> str:
        cut = tracks.cut
        x0, y0, x1, y1 = recording.box_m
        first_s, last_s = tracks.span_s()
        return (
            f"expected {self.thing}s in the cut from {cut.start_s:.10g} s to {cut.end_s:.10g} s, "
            f"x {cut.x0_m:g} to {cut.x1_m:g} m, y {cut.y0_m:g} to {cut.y1_m:g} m, for at least "
            f"{self.min_stay_s:g} s, got none; in the file, {self.thing}s are there from "
            f"{first_s:.10g} s to {last_s:.10g} s, x {x0:g} to {x1:g} m, y {y0:g} to {y1:g} m"
        )


@lru_cache(maxsize=_RECORDINGS)
def _read(trace: Trace, path: Path, _stamp: tuple[int, ...]) -> Recording:
    """Return the recording of a trace; `_stamp` tells a file from the one it was before."""
    return trace.record(path)


def _up(length_m: float) -> str:
    """Return a length rounded up to whole metres, at least one."""
    return f"{max(1, math.ceil(length_m)):d}"
