"""Mobility `sumo_fcd`: vehicles and people of a SUMO simulation, from its floating car data.

    <fcd-export>
        <timestep time="0.00">
            <vehicle id="a" x="5.10" y="4.95" speed="13.89" .../>
            <person id="p" x="1.00" y="2.00" speed="1.20" .../>

as `sumo --fcd-output FILE` writes it (sumo.dlr.de, "FCD Output"), .gz too. Positions must be
metres: with `--fcd-output.geo` they are degrees, which is refused. It is known from the options
that SUMO writes at the head of the file, or else, while all numbers could be degrees, from speeds
that are far larger than the positions change.
"""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal
from xml.parsers import expat

from pydantic import Field

from cosim.units import Seconds
from cosim.wording import did_you_mean
from cosim.world.mobility._source import Source
from cosim.world.mobility._trace import Trace
from cosim.world.mobility._tracks import Tracks

_ELEMENTS = ("vehicle", "person", "container")
_GEO_OPTION = re.compile(r'fcd-output\.geo\s+value="(?!0"|false"|f"|no"|off")', re.IGNORECASE)
# 1 degree is about 111 km, so positions in degrees move 1e-5 as far as speeds say; teleporting and
# mesoscopic vehicles are far from 1e-2. The test needs a way that is long beside rounding.
_DEGREES_RATIO, _DEGREES_WAY_M = 1e-2, 100.0
_GEO_MESSAGE = (
    "expected positions in metres, got {got}; write the trace without --fcd-output.geo, or project "
    "it with sumolib"
)


class SumoFcd(Trace):
    """Vehicles of a SUMO floating car data file (XML); they enter and leave with the trace.

    Attributes:
        elements: which elements are vehicles of this group: vehicle, person, container.
        types: only those of these SUMO types (`type=`); None for all.
        max_gap_s: a vehicle without a sample for longer than this (as when SUMO teleports it) is a
            mistake; within it the straight line counts. The default is an assumption of this
            project.
    """

    elements: Annotated[
        tuple[Literal["vehicle", "person", "container"], ...], Field(min_length=1)
    ] = ("vehicle",)
    types: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    max_gap_s: Annotated[Seconds, Field(gt=0)] = 10.0

    def gap_s(self) -> float:
        """The key `max_gap`."""
        return self.max_gap_s

    def first_time_s(self, source: Source) -> float:
        """Return the time of the first timestep."""
        found: list[float] = []

        def element(name: str, attributes: dict[str, str]) -> None:
            if name == "timestep":
                found.append(_time_s(source, attributes))
                raise _StopReadingError

        with suppress(_StopReadingError):
            _parse(source, element)
        if not found:
            raise source.error("expected a <timestep>, got none")
        return found[0]

    def feed(self, source: Source, tracks: Tracks) -> None:
        """Parse the file."""
        reader = _Reader(self, source, tracks)
        with suppress(_StopReadingError):
            _parse(source, reader.element, reader.comment)
        if not len(tracks) and self.types is not None and reader.other_types:
            known = ", ".join(each or "none" for each in sorted(reader.other_types))
            hint = did_you_mean(self.types[0], reader.other_types)
            raise source.error(
                f"expected {' or '.join(self.elements)} elements of type "
                f"{' or '.join(map(repr, self.types))}, got types {known}{hint}"
            )


class _StopReadingError(Exception):
    """What follows in the file cannot matter."""


class _Reader:
    """Hands on what the parser finds."""

    def __init__(self, trace: SumoFcd, source: Source, tracks: Tracks) -> None:
        self.other_types: set[str] = set()
        self._trace = trace
        self._elements = frozenset(trace.elements)
        self._types = None if trace.types is None else frozenset(trace.types)
        self._several = len(self._elements) > 1
        self._source = source
        self._tracks = tracks
        self._t = -math.inf
        # A leg that reaches over the end of the cut may be as long as a gap.
        self._last_s = tracks.cut.end_s + trace.max_gap_s
        self._degrees: _Degrees | None = _Degrees()

    def comment(self, text: str) -> None:
        """Look at the options that SUMO was called with."""
        if _GEO_OPTION.search(text):
            got = "degrees (fcd-output.geo is set)"
            raise self._source.error(_GEO_MESSAGE.format(got=got))

    def element(self, name: str, attributes: dict[str, str]) -> None:
        """Take the start of an element."""
        if name == "timestep":
            self._timestep(attributes)
        elif name in self._elements:
            if self._types is not None and (kind := attributes.get("type", "")) not in self._types:
                self.other_types.add(kind)
                self._pass_by(attributes)
                return
            try:
                label = attributes["id"]
                x, y = float(attributes["x"]), float(attributes["y"])
            except (KeyError, ValueError):
                label, x, y = self._explain(name, attributes)
            if self._degrees is not None:
                self._look_for_degrees(f"{name} {label}", x, y, attributes)
            self._tracks.sample(f"{name} {label}" if self._several else label, self._t, x, y)
        elif name in _ELEMENTS:
            self._pass_by(attributes)

    def _timestep(self, attributes: dict[str, str]) -> None:
        t = _time_s(self._source, attributes)
        if not t > self._t:
            raise self._source.error(
                f"expected times that increase from timestep to timestep, got {t:.10g} s after "
                f"{self._t:.10g} s"
            )
        if self._t > self._last_s and not self._trace.box_matters:
            raise _StopReadingError
        self._t = t

    def _pass_by(self, attributes: dict[str, str]) -> None:
        """Let an element that is not asked for count for the box that holds all positions."""
        if self._trace.box_matters and "x" in attributes and "y" in attributes:
            x = self._source.number(attributes["x"], "x")
            y = self._source.number(attributes["y"], "y")
            self._tracks.see(x, y)

    def _look_for_degrees(self, name: str, x: float, y: float, attributes: dict[str, str]) -> None:
        assert self._degrees is not None
        speed_mps = self._source.number(attributes.get("speed", "nan"), "speed")
        verdict = self._degrees.look(name, self._t, x, y, speed_mps)
        if verdict is None:
            return
        self._degrees = None
        if verdict:
            got = "numbers that change far less than the speeds say, as degrees do"
            raise self._source.error(_GEO_MESSAGE.format(got=got))

    def _explain(self, name: str, attributes: dict[str, str]) -> tuple[str, float, float]:
        for key in ("id", "x", "y"):
            if key not in attributes:
                raise self._source.error(
                    f"expected <{name}> with id, x and y, got {', '.join(attributes) or 'nothing'}"
                )
        x = self._source.number(attributes["x"], "x")
        return attributes["id"], x, self._source.number(attributes["y"], "y")


class _Degrees:
    """Tells, while all positions could be degrees, whether they are."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float, float]] = {}
        self._told_m = 0.0
        self._moved = 0.0

    def look(self, name: str, t: float, x: float, y: float, speed_mps: float) -> bool | None:
        """Return True if positions are degrees, False if not, None if it cannot be told yet."""
        if not (-180.0 <= x <= 180.0 and -90.0 <= y <= 90.0) or math.isnan(speed_mps):
            return False
        if name in self._last:
            before_t, before_x, before_y = self._last[name]
            self._told_m += speed_mps * (t - before_t)
            self._moved += math.hypot(x - before_x, y - before_y)
        self._last[name] = t, x, y
        if self._told_m < _DEGREES_WAY_M:
            return None
        return self._moved < _DEGREES_RATIO * self._told_m


def _time_s(source: Source, attributes: dict[str, str]) -> float:
    if "time" not in attributes:
        raise source.error("expected <timestep> with time, got none")
    t = source.number(attributes["time"], "time in seconds")
    if not math.isfinite(t):
        raise source.error(f"expected a finite time, got {t}")
    return t


def _parse(
    source: Source,
    element: Callable[[str, dict[str, str]], None],
    comment: Callable[[str], None] | None = None,
) -> None:
    """Let expat read the file, which must be one whole <fcd-export>."""
    parser = expat.ParserCreate()
    source.line_now = lambda: parser.CurrentLineNumber

    def root(name: str, _attributes: dict[str, str]) -> None:
        if name != "fcd-export":
            raise source.error(
                f"expected SUMO's floating car data, <fcd-export>, got a file of <{name}>"
            )
        parser.StartElementHandler = element

    parser.StartElementHandler = root
    parser.CommentHandler = comment
    try:
        parser.ParseFile(source.file)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise source.error(f"expected well-formed XML to the end, got: {reason}") from None
