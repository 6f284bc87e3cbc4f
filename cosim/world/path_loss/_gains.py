"""Gains of links over time, read from a CSV file and looked up in arrays."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.wording import did_you_mean, show
from cosim.world.errors import WorldError
from cosim.world.path_loss.base import Bools, Floats

_CODE = 2**31  # a link's code is low * _CODE + high


@dataclass(frozen=True)
class Columns:
    """Names of the columns: the two ends, the time in s, the gain in dB."""

    src: str
    dst: str
    time: str
    gain: str


@dataclass(frozen=True)
class Gains:
    """Samples of all links, by link and then by time.

    Attributes:
        path: the file.
        link: codes of the links, ascending, [L].
        start: where each link's samples start, and the end of the last, [L + 1].
        t_s: times, [N].
        gain_db: gains, [N].
        instant_s: all times that there are, ascending, [T].
        rank: link's number * T + the time's number, ascending, [N].
        spacing_s: least time between two samples of a link; infinity without two.
    """

    path: Path
    link: NDArray[np.int64]
    start: NDArray[np.int64]
    t_s: Floats
    gain_db: Floats
    instant_s: Floats
    rank: NDArray[np.int64]
    spacing_s: float

    def at(
        self, low: NDArray[np.int64], high: NDArray[np.int64], t_s: Floats, linear: bool
    ) -> tuple[Floats, Bools, Bools]:
        """Look links up at times, all [K].

        Args:
            low: one end of each link, the smaller number.
            high: the other end.
            t_s: times.
            linear: whether to interpolate between samples, or to hold the last.

        Returns:
            The gain in dB, of the first or last sample outside a link's samples; whether the file
            has the link; whether the time is within its samples.
        """
        code = low * _CODE + high
        number = np.minimum(np.searchsorted(self.link, code), self.link.size - 1)
        is_known = self.link[number] == code
        instant = np.searchsorted(self.instant_s, t_s, side="right") - 1
        first, last = self.start[number], self.start[number + 1] - 1
        here = np.searchsorted(self.rank, number * self.instant_s.size + instant, side="right") - 1
        here = np.clip(here, first, last)
        gain_db = self.gain_db[here]
        if linear:
            there = np.minimum(here + 1, last)
            span_s = self.t_s[there] - self.t_s[here]
            ahead_s = np.clip(t_s - self.t_s[here], 0.0, span_s)
            part = np.divide(ahead_s, span_s, out=np.zeros(t_s.shape), where=span_s > 0.0)
            gain_db = gain_db + part * (self.gain_db[there] - gain_db)
        return gain_db, is_known, (t_s >= self.t_s[first]) & (t_s <= self.t_s[last])

    def devices(self) -> NDArray[np.int64]:
        """Return the devices that have links, ascending."""
        return np.unique(np.concatenate([self.link // _CODE, self.link % _CODE]))

    def absence(self, low: int, high: int, t_s: float) -> str:
        """Return the message for a link or a time that the file does not have."""
        number = int(np.searchsorted(self.link, low * _CODE + high))
        if number == self.link.size or self.link[number] != low * _CODE + high:
            return f"{self.path}: expected gains of the link of devices {low} and {high}, got none"
        first, last = self.t_s[self.start[number]], self.t_s[self.start[number + 1] - 1]
        return (
            f"{self.path}: expected a gain of the link of devices {low} and {high} at {t_s:g} s, "
            f"got samples from {first:g} to {last:g} s"
        )


def read_gains(path: Path, columns: Columns) -> Gains:
    """Read a file, or return what was read of it before if it has not changed.

    Raises:
        ValueError: the file is not there, or a line of it is no sample; the message says which.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise WorldError(
            f"{path}: expected a CSV file with gains, got {error.strerror}; it is looked up under "
            "data_root"
        ) from error
    return _read(path, columns, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=8)
def _read(path: Path, columns: Columns, _state: tuple[int, int]) -> Gains:
    rows = list(_rows(path, columns))
    if not rows:
        raise WorldError(f"{path}: expected samples below the header, got none")
    code, t_s, gain_db, line = (np.array(column) for column in zip(*rows, strict=True))
    order = np.lexsort((t_s, code))
    code, t_s, gain_db, line = code[order], t_s[order], gain_db[order], line[order]
    is_again = np.append(False, (code[1:] == code[:-1]) & (t_s[1:] == t_s[:-1]))
    wrong = np.flatnonzero(is_again[1:] & (gain_db[1:] != gain_db[:-1]))
    if wrong.size:
        k = int(wrong[0])
        raise WorldError(
            f"{path}:{max(line[k], line[k + 1])}: expected the same gain of a link both ways at "
            f"{t_s[k]:g} s, got {gain_db[k]:g} and {gain_db[k + 1]:g} dB "
            f"(line {min(line[k], line[k + 1])})"
        )
    code, t_s, gain_db = code[~is_again], t_s[~is_again], gain_db[~is_again]
    link, start, number = np.unique(code, return_index=True, return_inverse=True)
    instant_s, instant = np.unique(t_s, return_inverse=True)
    spacing_s = np.diff(t_s)[np.diff(number) == 0]
    return Gains(
        path,
        link,
        np.append(start, code.size),
        t_s,
        gain_db,
        instant_s,
        number * instant_s.size + instant,
        float(spacing_s.min(initial=math.inf)),
    )


def _rows(path: Path, columns: Columns) -> Iterator[tuple[int, float, float, int]]:
    """Yield the link's code, the time, the gain and the line of every sample."""
    names = [columns.src, columns.dst, columns.time, columns.gain]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            places = [_place(path, header, name) for name in names]
            for row in reader:
                if not row:
                    continue
                where = f"{path}:{reader.line_num}"
                if len(row) != len(header):
                    raise WorldError(
                        f"{where}: expected {len(header)} values as in the header, got {len(row)}"
                    )
                src, dst, time, gain = (row[place] for place in places)
                low, high = sorted((_device(where, src), _device(where, dst)))
                if low == high:
                    raise WorldError(f"{where}: expected two devices, got {low} twice")
                t_s = _number(where, columns.time, time)
                gain_db = _number(where, columns.gain, gain)
                yield low * _CODE + high, t_s, gain_db, reader.line_num
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WorldError(f"{path}: expected a CSV file in UTF-8, got {error}") from error


def _device(where: str, text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and int(text) < _CODE):
        raise WorldError(f"{where}: expected a device number, 0 or more, got {show(text)}")
    return int(text)


def _number(where: str, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise WorldError(
            f"{where}: expected a finite number without a unit in column {name!r}, got {show(text)}"
        )
    return number


def _place(path: Path, header: list[str], name: str) -> int:
    if header.count(name) != 1:
        raise WorldError(
            f"{path}:1: expected one column {name!r}, got {', '.join(header) or 'nothing'}"
            f"{did_you_mean(name, header)}"
        )
    return header.index(name)
