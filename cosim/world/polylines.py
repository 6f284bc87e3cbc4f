"""Polylines: many piecewise-linear functions of time, known as far ahead as anyone has asked.

    f_r(t) = value_k + (t - start_k) slope_k      start_k <= t < start_(k+1)

Row r is a device's path or a link's Doppler phase. Looking ahead only appends legs, so that the
answer for a time is the same whenever, and in whatever order, it is asked for.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Legs:
    """Consecutive legs of one row.

    Attributes:
        start_s: times at which the legs start [K], never decreasing; of legs that start
            together the last one counts.
        value: values at the start [K, C].
        slope: change per second [K, C].
        end_s: the end of the last leg as far as it is known.
    """

    start_s: NDArray[np.float64]
    value: NDArray[np.float64]
    slope: NDArray[np.float64]
    end_s: float

    def then(self, more: "Legs") -> "Legs":
        """Return these legs followed by `more`."""
        if not self.start_s.size:
            return more
        return Legs(
            np.concatenate([self.start_s, more.start_s]),
            np.concatenate([self.value, more.value]),
            np.concatenate([self.slope, more.slope]),
            more.end_s,
        )

    def at(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values [T, C] at times [T] before `end_s`."""
        leg = self.start_s.searchsorted(t_s, "right") - 1
        elapsed_s = t_s - self.start_s.take(leg)
        return self.value.take(leg, 0) + elapsed_s[:, np.newaxis] * self.slope.take(leg, 0)


class Polylines(ABC):
    """Rows of legs, with a cursor in each row for the leg of the time last asked for.

    At one time for many rows only the rows whose leg has ended since cost Python work, the
    others one array operation.

    Args:
        width: C, the number of values of a row.
        rows: how many rows there are at first.
    """

    def __init__(self, width: int, rows: int = 0) -> None:
        nothing = np.empty((0, width))
        self._unknown = Legs(np.empty(0), nothing, nothing, 0.0)
        self._rows: list[Legs] = []
        self._from_s = np.empty(0)  # the cursors: one leg of each row, [from, to)
        self._to_s = np.empty(0)
        self._value = np.empty((0, width))
        self._slope = np.empty((0, width))
        self._add(rows)

    @abstractmethod
    def _more(self, row: int, known: Legs, until_s: float) -> Legs:
        """Return the legs that follow `known`, to an `end_s` beyond `until_s`."""

    def __len__(self) -> int:
        return len(self._rows)

    def _add(self, count: int) -> None:
        """Append rows of which nothing is known."""
        self._rows.extend([self._unknown] * count)
        missing = len(self._rows) - self._from_s.size
        if missing > 0:
            spare = max(missing, self._from_s.size)  # double, so that adding stays linear
            self._from_s = np.concatenate([self._from_s, np.full(spare, np.inf)])
            self._to_s = np.concatenate([self._to_s, np.full(spare, -np.inf)])
            width = self._value.shape[1]
            self._value = np.concatenate([self._value, np.empty((spare, width))])
            self._slope = np.concatenate([self._slope, np.empty((spare, width))])

    def legs(self, row: int, until_s: float) -> Legs:
        """Return the known legs of a row, which reach beyond `until_s`."""
        legs = self._rows[row]
        if legs.end_s <= until_s:
            legs = legs.then(self._more(row, legs, until_s))
            self._rows[row] = legs
        return legs

    def at(self, rows: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the values [..., C]; `rows` and `t_s` broadcast to [...]."""
        rows, t_s = np.asarray(rows), np.asarray(t_s, dtype=np.float64)
        shape = np.broadcast_shapes(rows.shape, t_s.shape)
        width = self._value.shape[1]
        if 0 in shape:
            return np.empty((*shape, width))
        if t_s.size == 1:
            return self._at_once(rows.ravel(), t_s.item()).reshape(*shape, width)
        if rows.size == 1:
            return self._along(rows.item(), t_s.ravel()).reshape(*shape, width)
        each_row = np.broadcast_to(rows, shape).ravel()
        each_t_s = np.broadcast_to(t_s, shape).ravel()
        values = np.empty((each_row.size, width))
        order = np.argsort(each_row, kind="stable")
        ends = np.flatnonzero(np.diff(each_row[order])) + 1
        for block in np.split(order, ends):
            values[block] = self._along(int(each_row[block[0]]), each_t_s[block])
        return values.reshape(*shape, width)

    def _along(self, row: int, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one row's values [T, C] at times [T]."""
        return self.legs(row, t_s.max()).at(t_s)

    def _at_once(self, rows: NDArray[np.int64], t_s: float) -> NDArray[np.float64]:
        """Return values [R, C] of rows [R] at one time."""
        passed = (t_s < self._from_s[rows]) | (t_s >= self._to_s[rows])
        for row in set(rows[passed].tolist()):
            self._seek(row, t_s)
        elapsed_s = t_s - self._from_s[rows]
        values: NDArray[np.float64] = (
            self._value[rows] + elapsed_s[:, np.newaxis] * self._slope[rows]
        )
        return values

    def _seek(self, row: int, t_s: float) -> None:
        """Put a row's cursor on its leg at `t_s`."""
        legs = self.legs(row, t_s)
        after = int(legs.start_s.searchsorted(t_s, "right"))
        self._from_s[row] = legs.start_s[after - 1]
        self._to_s[row] = legs.start_s[after] if after < legs.start_s.size else legs.end_s
        self._value[row] = legs.value[after - 1]
        self._slope[row] = legs.slope[after - 1]
