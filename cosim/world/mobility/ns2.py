"""Mobility `ns2`: node movements as ns-2's `setdest` and most generators write them (Tcl).

    $node_(0) set X_ 1.0
    $node_(0) set Y_ 2.0
    $ns_ at 2.0 "$node_(0) setdest 10.0 20.0 5.0"

From 2.0 s on the node goes from where it is then straight to (10, 20) m at 5 m/s, and stops there;
at speed 0 it stops where it is. A new `setdest` takes the place of one that has not been reached
(ns-2 manual, "Mobile networking in ns"). Heights (`Z_`) are not used: antenna heights are the
scenario's.
"""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

from cosim.world.mobility._source import Source
from cosim.world.mobility._trace import Trace
from cosim.world.mobility._tracks import Tracks

_NUMBER = rb"([-+.\w]+)"
_NODE = rb"\$[A-Za-z]\w*\(\s*(\d+)\s*\)"
_SET = re.compile(rb"\s*" + _NODE + rb"\s+set\s+([XYZ])_\s+" + _NUMBER + rb"\s*;?\s*(#.*)?$")
_SETDEST = re.compile(
    rb"\s*\$ns_?\s+at\s+"
    + _NUMBER
    + rb'\s+"\s*'
    + _NODE
    + rb"\s+setdest\s+"
    + _NUMBER
    + rb"\s+"
    + _NUMBER
    + rb"\s+"
    + _NUMBER
    + rb'\s*"\s*;?\s*(#.*)?$'
)
# Comments, and what the ns-2 tools write for routing: distances in hops.
_OTHER = re.compile(rb'\s*(#.*|\$god_\s.*|\$ns_?\s+at\s+\S+\s+"\s*\$god_\s.*)?$')


@dataclass
class _Node:
    """A node on its way from (x, y), where it was at t, to its destination.

    Without a speed it stays; `x` and `y` are NaN until they are set.
    """

    t: float = 0.0
    x: float = math.nan
    y: float = math.nan
    to_x: float = 0.0
    to_y: float = 0.0
    arrival: float = math.inf

    @property
    def is_placed(self) -> bool:
        return not (math.isnan(self.x) or math.isnan(self.y))


class Ns2(Trace):
    """Nodes of an ns-2 movement file; they are there from the start to the end.

    Coordinates are metres and times seconds, as ns-2 has them.
    """

    lasting: ClassVar[bool] = True
    thing: ClassVar[str] = "node"

    def first_time_s(self, source: Source) -> float:
        """Return 0: nodes have a position from then on."""
        return 0.0

    def feed(self, source: Source, tracks: Tracks) -> None:
        """Read statement after statement; a node's must be in order of time."""
        nodes: dict[str, _Node] = {}
        for line in source.lines():
            if match := _SETDEST.match(line):
                t, name, *destination = match.groups()[:5]
                numbers = [source.number(each, "setdest") for each in (t, *destination)]
                _set_destination(source, tracks, name.decode(), nodes, *numbers)
            elif match := _SET.match(line):
                name, axis, value = match.groups()[:3]
                number = source.number(value, f"{axis.decode()}_")
                _place(source, tracks, name.decode(), nodes, axis, number)
            elif not _OTHER.match(line):
                raise source.error(
                    'expected `$node_(N) set X_ x`, `$ns_ at t "$node_(N) setdest x y speed"` or '
                    f"a comment, got {line.decode(errors='replace').strip()!r}"
                )
        for name, node in nodes.items():
            if not node.is_placed:
                raise source.error(f"expected X_ and Y_ for node {name}, got a file without")
            if node.arrival < math.inf:
                _arrive(tracks, name, node)


def _place(
    source: Source, tracks: Tracks, name: str, nodes: dict[str, _Node], axis: bytes, value: float
) -> None:
    """Take a statement of where a node is at first."""
    if not math.isfinite(value):
        raise source.error(f"expected a finite {axis.decode()}_ for node {name}, got {value}")
    if axis == b"Z":
        return
    node = nodes.setdefault(name, _Node())
    if not math.isnan(node.x if axis == b"X" else node.y):
        raise source.error(f"expected {axis.decode()}_ of node {name} once, got it twice")
    if axis == b"X":
        node.x = value
    else:
        node.y = value
    if node.is_placed:
        tracks.sample(name, 0.0, node.x, node.y)


def _set_destination(
    source: Source,
    tracks: Tracks,
    name: str,
    nodes: dict[str, _Node],
    t: float,
    to_x: float,
    to_y: float,
    speed_mps: float,
) -> None:
    """Send a node to a new destination from where it is at t."""
    node = nodes.get(name)
    if node is None or not node.is_placed:
        raise source.error(f"expected X_ and Y_ of node {name} before its first setdest, got none")
    if not (math.isfinite(t + to_x + to_y + speed_mps) and t >= 0.0 and speed_mps >= 0.0):
        raise source.error(
            f"expected finite numbers, time and speed at least 0, got t = {t}, x = {to_x}, "
            f"y = {to_y}, speed = {speed_mps}"
        )
    if t < node.t:
        raise source.error(
            f"expected times that do not decrease for node {name}, got {t:.10g} s after "
            f"{node.t:.10g} s"
        )
    if node.arrival <= t:
        _arrive(tracks, name, node)
    if t > node.t:
        if node.arrival < math.inf:
            done = (t - node.t) / (node.arrival - node.t)
            node.x += done * (node.to_x - node.x)
            node.y += done * (node.to_y - node.y)
        node.t = t
        tracks.sample(name, t, node.x, node.y)
    way_m = math.hypot(to_x - node.x, to_y - node.y)
    node.to_x, node.to_y = to_x, to_y
    node.arrival = t + way_m / speed_mps if way_m > 0.0 and speed_mps > 0.0 else math.inf


def _arrive(tracks: Tracks, name: str, node: _Node) -> None:
    """Let a node come to its destination and stay."""
    node.x, node.y = node.to_x, node.to_y
    if node.arrival > node.t:  # not so for a way that is shorter than a rounding error
        node.t = node.arrival
        tracks.sample(name, node.t, node.x, node.y)
    node.arrival = math.inf
