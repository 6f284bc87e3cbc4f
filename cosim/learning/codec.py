"""Updates as bytes on the air, cut so that every packet stands alone.

A body is a row of segments of `segment_bytes`, one for each packet; the last may be shorter. A
segment holds whole chunks, and zeros where no more fits; a chunk holds a run of one update's
coordinates and says all that a receiver needs to place them. So whichever packets are lost, exactly
the coordinates that they carried are missing, and no others are harmed.

A chunk is

    header     update number, round, members, coding, first position, number of values
    members    gaps to the next member, of the width in the header
    positions  coordinates after the first: gaps or a bitmap, whichever takes more coordinates along
               (a dense range takes no bytes)
    values     float32 or float16, little-endian

Where the receiver holds the update's list of coordinates, positions are those in the list, which
is a dense range: values only. The header then names the list by its hash.
"""

import hashlib
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cosim.learning import _positions
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Coordinates, Members, Update

Dtype = Literal["float32", "float16"]

# flags, position width, update number, round, values, position bytes, first position, list,
# members, member width, first member
_HEADER = struct.Struct("<BBHIHHIQHBI")
_CHUNK, _HALF, _LISTED = 1, 2, 4  # flags; the first is always set, as padding is zeros
_MAX_COUNT = 0xFFFF  # numbers and bytes that a header can tell of

# The largest float16: what is larger is sent as this, and not as infinity.
_HALF_MAX = float(np.finfo(np.float16).max)


def list_id(coordinates: Coordinates) -> int:
    """Return the 64-bit hash by which sender and receiver name a list of coordinates."""
    digest = hashlib.blake2b(coordinates.astype("<i8").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def is_range(coordinates: Coordinates) -> bool:
    """Return whether coordinates are a dense range, which costs no position bytes."""
    return bool(coordinates[-1] - coordinates[0] == len(coordinates) - 1)


def encode(
    updates: Sequence[Update], segment_bytes: int, dtype: Dtype, held: Collection[int] = ()
) -> bytes:
    """Return the body that carries the updates.

    Args:
        updates: what to send; one without coordinates takes no bytes.
        segment_bytes: bytes of one packet.
        dtype: of the values; float16 rounds, and bounds them to +-65504.
        held: lists of coordinates that the receiver holds, by `list_id`.

    Raises:
        LearningError: a packet cannot hold even one value and its header.
    """
    segments = _Segments(segment_bytes)
    for number, update in enumerate(updates):
        if update.coordinates.size:
            _encode_update(segments, number, update, dtype, held)
    return segments.body()


class _Segments:
    """A body being written: chunks side by side, each inside one segment."""

    def __init__(self, segment_bytes: int) -> None:
        self.segment_bytes = segment_bytes
        self.room = segment_bytes
        self._parts: list[bytes] = []

    def write(self, *parts: bytes) -> None:
        self._parts.extend(parts)
        self.room -= sum(map(len, parts))

    def next(self) -> None:
        self._parts.append(bytes(self.room))
        self.room = self.segment_bytes

    def body(self) -> bytes:
        return b"".join(self._parts)


def _encode_update(
    segments: _Segments, number: int, update: Update, dtype: Dtype, held: Collection[int]
) -> None:
    positions, flags, list_hash = update.coordinates, _CHUNK, 0
    if held and not is_range(positions) and (list_hash := list_id(positions)) in held:
        positions, flags = np.arange(len(positions)), flags | _LISTED
    if dtype == "float16":
        flags |= _HALF
        bounded = np.clip(update.values, -_HALF_MAX, _HALF_MAX)
        values = bounded.astype("<f2").tobytes()
    else:
        values = update.values.astype("<f4").tobytes()
    size = 2 if flags & _HALF else 4

    members = np.array(update.members, dtype=np.int64)
    member_width = int(_positions.gap_widths(members).max())
    member_bytes = _positions.pack(members, member_width)
    overhead = _HEADER.size + len(member_bytes)
    if segments.segment_bytes < overhead + size:
        raise LearningError(
            f"expected packets that carry at least {overhead + size} bytes (one value and its "
            f"header, for {len(members)} members), got {segments.segment_bytes}; raise "
            f"transport.mtu"
        )

    cut = _Cut(positions, size)
    start = 0
    while start < len(positions):
        if segments.room < overhead + size:
            segments.next()
        count, width = cut.longest(start, segments.room - overhead)
        chunk = positions[start : start + count]
        mask = _positions.pack(chunk, width)
        header = _HEADER.pack(
            flags,
            width,
            number,
            update.round,
            count,
            len(mask),
            int(chunk[0]),
            list_hash if flags & _LISTED else 0,
            len(members),
            member_width,
            update.members[0],
        )
        segments.write(header, member_bytes, mask, values[start * size : (start + count) * size])
        start += count


class _Cut:
    """Finds how many coordinates fit into the room that is left, and in which coding."""

    def __init__(self, positions: NDArray[np.int64], value_bytes: int) -> None:
        self._positions = positions
        self._value_bytes = value_bytes
        dense = not positions.size or is_range(positions)
        self._widths = None if dense else _positions.gap_widths(positions)
        self._counts = np.arange(_MAX_COUNT + 1)

    def longest(self, start: int, room: int) -> tuple[int, int]:
        """Return the most coordinates from `start` that fit, and their position width.

        Of two codings that hold as many, the one of fewer bytes; then gaps.
        """
        room = min(room, _MAX_COUNT)
        most = min(room // self._value_bytes, len(self._positions) - start)
        if self._widths is None:
            return most, 0
        widest = self._widths[start : start + most].copy()
        widest[0] = 0  # the gap to the chunk before is not sent
        np.maximum.accumulate(widest, out=widest)
        bits = widest * self._counts[:most] + 7
        cost = (bits >> 3) + self._value_bytes * self._counts[1 : most + 1]
        count = int(np.searchsorted(cost, room, side="right"))
        width = int(widest[count - 1])
        bitmap = self._longest_bitmap(start, room, most, count)
        span = int(self._positions[start + bitmap - 1] - self._positions[start])
        gap_bytes = _positions.num_bytes(width, count, 0)
        if (bitmap, -_positions.num_bytes(_positions.BITMAP, bitmap, span)) > (count, -gap_bytes):
            return bitmap, _positions.BITMAP
        return count, width

    def _longest_bitmap(self, start: int, room: int, most: int, least: int) -> int:
        """The most coordinates that fit with a bitmap; 1 if not as many as `least`."""
        first = int(self._positions[start])
        span = int(self._positions[start + least - 1]) - first
        if _positions.num_bytes(_positions.BITMAP, least, span) + self._value_bytes * least > room:
            return 1
        spans = self._positions[start : start + most] - first
        cost = ((spans + 7) >> 3) + self._value_bytes * self._counts[1 : most + 1]
        return int(np.searchsorted(cost, room, side="right"))


@dataclass(frozen=True)
class Chunk:
    """One chunk as its header tells it, and its bytes.

    Attributes:
        width: bits of each gap between positions, less 1; `_positions.BITMAP` for a bitmap.
        first: first position: a coordinate, or a place in the list `list_hash`.
        list_hash: the list of coordinates that positions are places of; None for coordinates.
    """

    segment: int
    number: int
    round: int
    members: Members
    count: int
    width: int
    first: int
    list_hash: int | None
    mask: bytes
    values: NDArray[np.float32]


def decode(
    body: bytes,
    segment_bytes: int,
    layout_size: int,
    arrived: NDArray[np.bool_] | None = None,
    lists: Mapping[int, Coordinates] | None = None,
) -> dict[int, Update]:
    """Return the updates of a body by their number, with the coordinates that arrived.

    Args:
        body: what `encode` returned; bytes of packets that did not arrive are not looked at.
        segment_bytes: bytes of one packet.
        layout_size: coordinates of the adapter.
        arrived: for each packet whether it arrived; None for all.
        lists: lists of coordinates that the receiver holds, by `list_id`.

    Returns:
        The updates of which at least one coordinate arrived.

    Raises:
        ValueError: a header contradicts its segment, the layout or the lists.
    """
    found: dict[int, list[tuple[Chunk, Coordinates]]] = {}
    for chunk in chunks(body, segment_bytes, arrived):
        coordinates = _coordinates(chunk, layout_size, lists or {})
        found.setdefault(chunk.number, []).append((chunk, coordinates))
    return {number: _join(parts) for number, parts in found.items()}


def _join(parts: list[tuple[Chunk, Coordinates]]) -> Update:
    first = parts[0][0]
    for chunk, _ in parts[1:]:
        if (chunk.members, chunk.round) != (first.members, first.round):
            raise _wrong(chunk.segment, f"update {chunk.number} changes its members or round")
    coordinates = np.concatenate([part for _, part in parts])
    if np.any(np.diff(coordinates) <= 0):
        raise _wrong(first.segment, f"update {first.number} has coordinates out of order")
    values = np.concatenate([chunk.values for chunk, _ in parts])
    return Update(first.members, first.round, coordinates, values)


def chunks(
    body: bytes, segment_bytes: int, arrived: NDArray[np.bool_] | None = None
) -> Iterator[Chunk]:
    """Yield the chunks of the packets that arrived, in the order in which they were written."""
    num_segments = -(-len(body) // segment_bytes)
    if arrived is not None and len(arrived) != num_segments:
        raise ValueError(f"expected {num_segments} packets, got {len(arrived)} in `arrived`")
    for number in range(num_segments):
        if arrived is None or arrived[number]:
            data = body[number * segment_bytes : (number + 1) * segment_bytes]
            at = 0
            while at < len(data) and data[at]:
                chunk, at = _read(data, at, number)
                yield chunk


def _read(data: bytes, at: int, segment: int) -> tuple[Chunk, int]:
    if len(data) - at < _HEADER.size:
        raise _wrong(segment, f"expected a header of {_HEADER.size} bytes, got {len(data) - at}")
    (
        flags, width, number, round, count, mask_bytes, first, list_hash,
        num_members, member_width, first_member,
    ) = _HEADER.unpack_from(data, at)  # fmt: skip
    gaps = width <= _positions.MAX_WIDTH
    if not flags & _CHUNK or flags & ~(_CHUNK | _HALF | _LISTED) or not count or not num_members:
        raise _wrong(segment, f"no chunk begins with flags {flags}, {count} values")
    if not (gaps or width == _positions.BITMAP) or member_width > _positions.MAX_WIDTH:
        raise _wrong(segment, f"there is no position width {width} or {member_width}")
    if gaps and mask_bytes != _positions.num_bytes(width, count, 0):
        raise _wrong(segment, f"{count} positions of {width} bits do not take {mask_bytes} bytes")
    dtype = np.dtype("<f2" if flags & _HALF else "<f4")
    member_at = at + _HEADER.size
    mask_at = member_at + _positions.num_bytes(member_width, num_members, 0)
    values_at = mask_at + mask_bytes
    end = values_at + count * dtype.itemsize
    if end > len(data):
        raise _wrong(segment, f"expected a chunk of {end - at} bytes, got {len(data) - at}")
    members = _positions.unpack(data[member_at:mask_at], member_width, first_member, num_members)
    values = np.frombuffer(data, dtype, count, values_at).astype(np.float32)
    listed = list_hash if flags & _LISTED else None
    mask = data[mask_at:values_at]
    return Chunk(
        segment, number, round, tuple(members.tolist()), count, width, first, listed, mask, values
    ), end


def _coordinates(chunk: Chunk, layout_size: int, lists: Mapping[int, Coordinates]) -> Coordinates:
    try:
        positions = _positions.unpack(chunk.mask, chunk.width, chunk.first, chunk.count)
    except ValueError as error:
        raise _wrong(chunk.segment, str(error)) from None
    if chunk.list_hash is None:
        limit, known = layout_size, None
    elif chunk.list_hash in lists:
        known = lists[chunk.list_hash]
        limit = len(known)
    else:
        raise _wrong(chunk.segment, f"the receiver has no list {chunk.list_hash:016x}")
    if positions[-1] >= limit:
        raise _wrong(chunk.segment, f"expected positions below {limit}, got {positions[-1]}")
    return positions if known is None else known[positions]


def _wrong(segment: int, reason: str) -> ValueError:
    return ValueError(f"segment {segment}: {reason}")
