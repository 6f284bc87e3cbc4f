"""Mobility `csv_trace`: positions in a table, one row for each sample of a device (CSV, .gz too).

    t,id,x,y
    0.0,car 7,12.5,40.0
    1.0,car 7,14.0,40.0

The columns may also be called `t_s,device,x_m,y_m`, as in the table `positions` of a run. To move
devices as they moved there, set `origin: [0 m, 0 m]`, since those positions are in the area.

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

_USUAL = {
    "time": ("t", "t_s"),
    "device": ("id", "device"),
    "x": ("x", "x_m"),
    "y": ("y", "y_m"),
}


class Columns(Section):
    """What the columns are called in the first line of the file; there may be others.

    What is left out has one of its usual names: those above, or `t_s`, `device`, `x_m` and `y_m`
    of the table `positions` of a run.
    """

    time: str | None = None
    device: str | None = None
    x: str | None = None
    y: str | None = None

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names that a column may have."""
        name = getattr(self, key)
        return _USUAL[key] if name is None else (name,)


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
            places = [self._place(source, header, key) for key in ("device", "time", "x", "y")]
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

    def _place(self, source: Source, header: list[str], key: str) -> int:
        names = self.columns.names(key)
        places = [place for place, name in enumerate(header) if name in names]
        if len(places) != 1:
            found = ", ".join(map(repr, header)) or "an empty line"
            raise source.error(
                f"expected one column {' or '.join(map(repr, names))} in the first line, for the "
                f"{key}, got {found}{did_you_mean(names[0], header)} (keys `columns`, such as "
                f"`columns: {{{key}: NAME}}`, and `delimiter`)"
            )
        return places[0]


def _text(source: Source) -> Iterator[str]:
    for line in source.lines():
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise source.error("expected UTF-8 text, got other bytes") from None
        yield text.removeprefix("\ufeff")
