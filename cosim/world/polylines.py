"""Polylines: many piecewise-linear functions of time, known as far ahead as anyone has asked.

    f_r(t) = value_k + (t - start_k) slope_k      start_k <= t < start_(k+1)

Row r is a device's path or a link's Doppler phase. Looking ahead only appends legs, so that the
answer for a time is the same whenever, and in whatever order, it is asked for.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FEW_LEGS = 4  # as many are worked on one after the other, which costs less than to look each up


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
        first, last = self.start_s.searchsorted((t_s.min(), t_s.max()), "right") - 1
        if last - first <= _FEW_LEGS:
            return self._on_few(t_s, int(first), int(last))
        leg = self.start_s.searchsorted(t_s, "right") - 1
        elapsed_s = t_s - self.start_s.take(leg)
        return self.value.take(leg, 0) + elapsed_s[:, np.newaxis] * self.slope.take(leg, 0)

    def _on_few(self, t_s: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
        """Return `at` of times that are all on legs `first` to `last`, a leg at a time."""
        values = np.empty((self.value.shape[1], t_s.size))
        for leg in range(first, last + 1):
            later = np.s_[:] if leg == first else t_s >= self.start_s[leg]
            elapsed_s = t_s[later] - self.start_s[leg]
            slope, value = self.slope[leg, :, np.newaxis], self.value[leg, :, np.newaxis]
            values[:, later] = _on_leg(elapsed_s, slope, value)
        return values.T


def span_s(t_s: NDArray[np.float64]) -> tuple[float, float]:
    """Return the first and the last of some times, in any order, at least one."""
    if t_s.size == 1:
        return (t_s.item(),) * 2
    return float(np.minimum.reduce(t_s, axis=None)), float(np.maximum.reduce(t_s, axis=None))


class Polylines(ABC):
    """Rows of legs, with a cursor in each row for a leg that was asked for lately.

    Questions within the cursors' legs are answered by array operations alone; only rows whose leg
    has ended since cost Python work.

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
        self._value = np.empty((width, 0))  # at `from`, [C, rows]
        self._slope = np.empty((width, 0))
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
            room = np.empty((self._value.shape[0], spare))
            self._value = np.concatenate([self._value, room], axis=1)
            self._slope = np.concatenate([self._slope, room], axis=1)

    def _forget(self, row: int) -> None:
        """Make a row one of which nothing is known."""
        self._rows[row] = self._unknown
        self._from_s[row], self._to_s[row] = np.inf, -np.inf

    def legs(self, row: int, until_s: float) -> Legs:
        """Return the known legs of a row, which reach beyond `until_s`."""
        legs = self._rows[row]
        if legs.end_s <= until_s:
            legs = legs.then(self._more(row, legs, until_s))
            self._rows[row] = legs
        return legs

    def at(
        self, rows: ArrayLike, t_s: ArrayLike, span: tuple[float, float] | None = None
    ) -> NDArray[np.float64]:
        """Return the values [..., C]; `rows` and `t_s` broadcast to [...].

        Args:
            rows: which rows.
            t_s: times.
            span: the first and the last of the times, for a caller that knows them.
        """
        rows, t_s = np.asarray(rows), np.asarray(t_s, dtype=np.float64)
        shape = t_s.shape if rows.ndim == 0 else np.broadcast_shapes(rows.shape, t_s.shape)
        if 0 in shape:
            values = np.empty((self._value.shape[0], 0))
        elif rows.size == 1:
            values = self._along(rows.item(), t_s.ravel(), span_s(t_s) if span is None else span)
        elif t_s.size == 1:
            values = self._each(rows.ravel(), t_s.ravel())
        else:
            values = self._each(
                np.broadcast_to(rows, shape).ravel(), np.broadcast_to(t_s, shape).ravel()
            )
        return values.T.reshape(*shape, values.shape[0])

    def point(self, row: int, t_s: float) -> list[float]:
        """Return `at` of one row and time as plain numbers, [C], without the cost of arrays."""
        if not self._from_s[row] <= t_s < self._to_s[row]:
            self._seek(row, t_s)
        elapsed_s = t_s - float(self._from_s[row])
        return [
            value + elapsed_s * slope
            for value, slope in zip(
                self._value[:, row].tolist(), self._slope[:, row].tolist(), strict=True
            )
        ]

    def _along(
        self, row: int, t_s: NDArray[np.float64], span: tuple[float, float]
    ) -> NDArray[np.float64]:
        """Return one row's values [C, T] at times [T]."""
        first_s, last_s = span
        if not self._from_s[row] <= first_s < self._to_s[row]:
            self._seek(row, first_s)
        if last_s >= self._to_s[row]:
            return self.legs(row, last_s).at(t_s).T
        slope, value = self._slope[:, row, np.newaxis], self._value[:, row, np.newaxis]
        return _on_leg(t_s - self._from_s[row], slope, value)

    def _each(self, rows: NDArray[np.int64], t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values [C, R] of rows [R], at times [R] or at one time [1]."""
        outside = (t_s < self._from_s.take(rows)) | (t_s >= self._to_s.take(rows))
        exact: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        if outside.any():
            passed = np.unique(rows[outside])
            if t_s.size == 1:
                for row in passed.tolist():
                    self._seek(row, t_s.item())
            else:
                # All times of such a row, since its cursor moves.
                places = np.flatnonzero(np.isin(rows, passed))
                for row, block in _by_row(rows, places):
                    times_s = t_s[block]
                    exact.append((block, self._along(row, times_s, span_s(times_s))))
        elapsed_s = t_s - self._from_s.take(rows)
        values = _on_leg(elapsed_s, self._slope.take(rows, 1), self._value.take(rows, 1))
        for block, right in exact:
            values[:, block] = right
        return values

    def _seek(self, row: int, t_s: float) -> None:
        """Put a row's cursor on its leg at `t_s`."""
        legs = self.legs(row, t_s)
        after = int(legs.start_s.searchsorted(t_s, "right"))
        self._from_s[row] = legs.start_s[after - 1]
        self._to_s[row] = legs.start_s[after] if after < legs.start_s.size else legs.end_s
        self._value[:, row] = legs.value[after - 1]
        self._slope[:, row] = legs.slope[after - 1]


def _on_leg(
    elapsed_s: NDArray[np.float64], slope: NDArray[np.float64], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return value + elapsed slope, written over once."""
    values: NDArray[np.float64] = slope * elapsed_s
    values += value
    return values


def _by_row(
    rows: NDArray[np.int64], places: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each row with those of the `places` that hold it."""
    held = rows[places]
    order = np.argsort(held, kind="stable")
    ends = np.flatnonzero(np.diff(held[order])) + 1
    for block in np.split(places[order], ends):
        yield int(rows[block[0]]), block
