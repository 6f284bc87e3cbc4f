"""Mobility `bonnmotion`: waypoints as BonnMotion writes them (`.movements`, `.movements.gz`).

One line for each node, with its waypoints one after the other:

    0.0 12.5 40.0 30.0 80.0 41.5 900.0 80.0 41.5        t x y t x y ...

A node goes from waypoint to waypoint on a straight line at constant speed; before the first and
after the last it stands. Files of BonnMotion's 3D models have t x y z; heights are not used, since
antenna heights are the scenario's. Lines that start with `#` are comments.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

from cosim.world.mobility._source import Source
from cosim.world.mobility._trace import Trace
from cosim.world.mobility._tracks import Tracks

_PIECE = 2**16  # bytes; a line may be longer than memory
_LONGEST_NUMBER = 64  # characters


class Bonnmotion(Trace):
    """Nodes of a BonnMotion movement file; they are there from the start to the end.

    Attributes:
        dimensions: 2 for t x y, 3 for t x y z.
    """

    dimensions: Literal[2, 3] = 2

    lasting: ClassVar[bool] = True
    thing: ClassVar[str] = "node"

    def first_time_s(self, source: Source) -> float:
        """Return 0: nodes have a position from then on."""
        return 0.0

    def feed(self, source: Source, tracks: Tracks) -> None:
        """Read number after number; nodes are named by their number, from 0."""
        node = 0
        numbers: list[float] = []
        last: tuple[float, ...] = ()
        for word in _words(source):
            if word == b"\n":
                if numbers:
                    raise source.error(
                        f"expected {self._columns} again and again for node {node}, got a line "
                        f"that ends after {self._columns.split()[len(numbers) - 1]}"
                        f"{'' if self.dimensions == 3 else '; `dimensions: 3` is t x y z'}"
                    )
                node += bool(last)
                last = ()
                continue
            numbers.append(source.number(word, self._columns.split()[len(numbers)]))
            if len(numbers) <= self.dimensions:
                continue
            waypoint = tuple(numbers)
            numbers = []
            if waypoint != last:  # BonnMotion may write a waypoint twice
                t, x, y = waypoint[:3]
                tracks.sample(str(node), t, x, y)
            last = waypoint

    @property
    def _columns(self) -> str:
        return "t x y" if self.dimensions == 2 else "t x y z"


def _words(source: Source) -> Iterator[bytes]:
    """Yield the words of a file, and a line feed for each end of a line; no comments."""
    rest, in_comment, begun = b"", False, False
    source.next_line()
    while piece := source.file.read(_PIECE):
        parts = (rest + piece).split(b"\n")
        rest = b""
        for number, part in enumerate(parts):
            if number:
                yield b"\n"
                source.next_line()
                in_comment = begun = False
            in_comment = in_comment or (not begun and part.lstrip().startswith(b"#"))
            words = [] if in_comment else part.split()
            if number == len(parts) - 1 and words and not part[-1:].isspace():
                rest = words.pop()  # the next piece may go on with it
                if len(rest) > _LONGEST_NUMBER:
                    raise source.error(f"expected numbers, got {rest[:_LONGEST_NUMBER]!r}...")
            begun = begun or bool(words)
            yield from words
    if rest:
        yield rest
    yield b"\n"
