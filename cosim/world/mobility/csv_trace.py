"""Mobility `csv_trace`: positions in a table, one row for each sample of a device (CSV, .gz too).

    t,id,x,y
    0.0,car 7,12.5,40.0
    1.0,car 7,14.0,40.0

Times are seconds, positions metres. The rows of one device must be in order of time; rows of
different devices may come in any order.
"""

import csv
import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from cosim.plugin import Section
from cosim.units import Seconds
from cosim.wording import did_you_mean
from cosim.world.mobility._source import Source
from cosim.world.mobility._trace import Trace
from cosim.world.mobility._tracks import Tracks


class Columns(Section):
    """What the columns are called in the first line of the file; there may be others."""

    time: str = "t"
    device: str = "id"
    x: str = "x"
    y: str = "y"


class CsvTrace(Trace):
    """Devices of a table of positions; they enter and leave with it.

    Attributes:
        columns: the names of the columns: time, device, x, y.
        delimiter: what stands between two columns.
        max_gap_s: a device without a row for longer than this is a mistake; within it the straight
            line counts. The default is an assumption of this project.
    """

    columns: Columns = Columns()
    delimiter: Literal[",", ";", "\t", " ", "|"] = ","
    max_gap_s: Annotated[Seconds, Field(gt=0)] = 10.0

    def gap_s(self) -> float:
        """The key `max_gap`."""
        return self.max_gap_s

    def first_time_s(self, source: Source) -> float:
        """Return the least time of all rows, which takes one more pass over the file."""
        least_s = min((t for _, t, _, _ in self._rows(source)), default=math.inf)
        if not math.isfinite(least_s):
            raise source.error("expected rows with finite times, got none")
        return least_s

    def feed(self, source: Source, tracks: Tracks) -> None:
        """Read row after row."""
        for name, t, x, y in self._rows(source):
            tracks.sample(name, t, x, y)

    def _rows(self, source: Source) -> Iterator[tuple[str, float, float, float]]:
        """Yield (device, t, x, y) of each row."""
        rows = csv.reader(
            _text(source), delimiter=self.delimiter, strict=True, skipinitialspace=True
        )
        try:
            header = [each.strip() for each in next(rows, [])]
            wanted = self.columns
            places = [
                self._place(source, header, each)
                for each in (wanted.device, wanted.time, wanted.x, wanted.y)
            ]
            device, *numbers = places
            for row in rows:
                if not row:
                    continue
                if len(row) <= max(places):
                    raise source.error(f"expected {len(header)} columns, got {len(row)}")
                try:
                    t, x, y = [float(row[place]) for place in numbers]
                except ValueError:
                    t, x, y = [source.number(row[place], header[place]) for place in numbers]
                yield row[device], t, x, y
        except csv.Error as error:
            raise source.error(f"expected a table, got: {error}") from None

    def _place(self, source: Source, header: list[str], name: str) -> int:
        if header.count(name) != 1:
            found = ", ".join(map(repr, header)) or "an empty line"
            raise source.error(
                f"expected one column {name!r} in the first line, got {found}"
                f"{did_you_mean(name, header)} (keys `columns` and `delimiter`)"
            )
        return header.index(name)


def _text(source: Source) -> Iterator[str]:
    for line in source.lines():
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise source.error("expected UTF-8 text, got other bytes") from None
        yield text.removeprefix("\ufeff")
