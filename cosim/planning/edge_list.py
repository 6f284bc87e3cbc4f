"""Edges of a topology, read from a CSV or a JSON file; every mistake is named with its line."""

import csv
import io
import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosim.wording import did_you_mean, show
from cosim.world.errors import WorldError

_KEYS = ("src", "dst", "cluster")
_DIGITS = re.compile(r"[0-9]{1,18}")
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class Edges:
    """What the file says.

    Attributes:
        pairs: (low, high) of each edge once, in the order of the file.
        label: the cluster of each device that has one; empty if the file names no clusters.
    """

    pairs: tuple[tuple[int, int], ...]
    label: Mapping[int, str]


def read_edges(path: Path, num_devices: int) -> Edges:
    """Read a file.

    Args:
        path: the file; one whose name ends with .json is JSON, every other is CSV.
        num_devices: how many devices there are.

    Raises:
        WorldError: the file is not there, or something in it is no edge; the message says where.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8"
        raise WorldError(
            f"{path}: expected a CSV or JSON file with edges, got {reason}; it is looked up under "
            "data_root"
        ) from error
    rows = _json_rows(path, text) if path.suffix.lower() == ".json" else _csv_rows(path, text)
    lines: dict[tuple[int, int], int] = {}
    label: dict[int, tuple[str, int]] = {}
    first: tuple[int, bool] | None = None  # line of the first edge, and whether it has a cluster
    for line, row in rows:
        src = _device(path, line, "src", row.get("src"), num_devices)
        dst = _device(path, line, "dst", row.get("dst"), num_devices)
        if src == dst:
            raise WorldError(f"{path}:{line}: expected two devices, got {src} with itself")
        if (src, dst) in lines:
            raise WorldError(
                f"{path}:{line}: expected each edge once, or once each way, got {src},{dst} again "
                f"(line {lines[src, dst]})"
            )
        lines[src, dst] = line
        cluster = _cluster(path, line, row.get("cluster"))
        first = (line, bool(cluster)) if first is None else first
        if bool(cluster) != first[1]:
            here, there = ("one", "none") if cluster else ("none", "one")
            raise WorldError(
                f"{path}:{line}: expected a cluster with every edge or with none, got {here}, and "
                f"{there} in line {first[0]}"
            )
        for device in (src, dst) if cluster else ():
            before, where = label.setdefault(device, (cluster, line))
            if before != cluster:
                raise WorldError(
                    f"{path}:{line}: expected device {device} in one cluster, got {show(cluster)} "
                    f"and {show(before)} (line {where})"
                )
    if not lines:
        raise WorldError(f"{path}: expected edges, got none")
    pairs = dict.fromkeys((min(edge), max(edge)) for edge in lines)
    return Edges(tuple(pairs), {device: name for device, (name, _) in label.items()})


def _device(path: Path, line: int, key: str, value: Any, num_devices: int) -> int:
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < num_devices:
        return number
    raise WorldError(
        f"{path}:{line}: expected {key} to be a device from 0 to {num_devices - 1}, got "
        f"{show(value)}"
    )


def _cluster(path: Path, line: int, value: Any) -> str:
    """Return a cluster's label, or nothing."""
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return "" if value is None else str(value).strip()
    raise WorldError(f"{path}:{line}: expected cluster to be a name or a number, got {show(value)}")


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line, row) below the header."""
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
    try:
        filled = ((line, row) for line, row in rows if any(row))
        line, header = next(filled, (1, []))
        _check_keys(path, line, header)
        for line, row in filled:
            if len(row) != len(header):
                raise WorldError(
                    f"{path}:{line}: expected {len(header)} columns ({','.join(header)}), got "
                    f"{len(row)}"
                )
            yield line, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise WorldError(f"{path}:{reader.line_num}: expected CSV, got {error}") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line, object) of a list of objects."""
    decoder = json.JSONDecoder()

    breaks = [found.start() for found in re.finditer("\n", text)]

    def line_at(place: int) -> int:
        return bisect_left(breaks, place) + 1

    def skip(place: int) -> int:
        blank = _SPACE.match(text, place)
        assert blank is not None  # nothing is blank, too
        return blank.end()

    def expect(place: int, marks: str) -> str:
        if text[place : place + 1] in tuple(marks):
            return text[place]
        got = show(text[place]) if place < len(text) else "the end of the file"
        wanted = " or ".join(show(mark) for mark in marks)
        raise WorldError(f"{path}:{line_at(place)}: expected {wanted}, got {got}")

    place = skip(0)
    expect(place, "[")
    place = skip(place + 1)
    is_open = text[place : place + 1] != "]"
    while is_open:
        line = line_at(place)
        try:
            row, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:  # also a number that is too long to read
            where = getattr(error, "lineno", line)
            reason = getattr(error, "msg", str(error))
            raise WorldError(f"{path}:{where}: expected JSON, got: {reason}") from error
        if not isinstance(row, dict):
            raise WorldError(
                f'{path}:{line}: expected an edge such as {{"src": 0, "dst": 1}}, got {show(row)}'
            )
        _check_keys(path, line, list(row))
        yield line, row
        place = skip(end)
        is_open = expect(place, ",]") == ","
        place = skip(place + 1) if is_open else place
    after = skip(place + 1)
    if after < len(text):
        raise WorldError(f"{path}:{line_at(after)}: expected nothing after the list, got more")


def _check_keys(path: Path, line: int, keys: list[str]) -> None:
    for key in keys:
        if key not in _KEYS or keys.count(key) > 1:
            what = "again" if key in _KEYS else f"as well{did_you_mean(key, _KEYS)}"
            raise WorldError(
                f"{path}:{line}: expected src, dst and perhaps cluster, got {show(key)} {what}"
            )
    lacking = [key for key in ("src", "dst") if key not in keys]
    if lacking:
        raise WorldError(
            f"{path}:{line}: expected src, dst and perhaps cluster, got no "
            f"{' and no '.join(lacking)}"
        )
