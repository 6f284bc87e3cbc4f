"""Updates as bytes on the air, cut so that every packet stands alone.

A body is a row of segments of `segment_bytes`, one for each packet; the last may be shorter. A
segment is a checksum (CRC-32, 4 bytes) of the rest, whole chunks (`cosim.learning.payload._chunk`),
and zeros where no more fits. So whichever packets are lost, exactly the coordinates that they
carried are missing, and no others are harmed: a segment that was damaged does not pass for another
one's coordinates, but for one in 2^32.

Where the receiver holds the update's list of coordinates, positions are those in the list, which
is a dense range: values only. Chunks then name the list by its hash.
"""

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Coordinates, Update
from cosim.learning.payload import _positions
from cosim.learning.payload._chunk import Chunk, Source, is_range, list_id, read_chunk, wrong
from cosim.learning.payload._cut import Cut
from cosim.learning.payload._values import Rounding

if TYPE_CHECKING:
    from cosim.scenario.tree import PayloadCoding

__all__ = ["CHECKSUM_BYTES", "Rounding", "chunks", "decode", "encode", "is_range", "list_id"]

CHECKSUM_BYTES = 4


def encode(
    updates: Sequence[Update],
    segment_bytes: int,
    coding: "PayloadCoding",
    rounding: Rounding,
    held: Collection[int] = (),
) -> bytes:
    """Return the body that carries the updates.

    Args:
        updates: what to send; one without coordinates takes no bytes.
        segment_bytes: bytes of one packet.
        coding: type of the values, and whether they are entropy-coded. float16 and bfloat16 round
            to nearest, and bound values to the largest that they have.
        rounding: where int8 finds the numbers that it rounds by.
        held: lists of coordinates that the receiver holds, by `list_id`.

    Raises:
        LearningError: a value is not finite, or a packet cannot hold even one value and its header.
    """
    segments = _Segments(segment_bytes)
    for source in sources(updates, coding, rounding, held):
        least = source.frame_bytes + source.scale_bytes + source.value_bytes
        if segments.full_room < least:
            raise LearningError(
                f"expected packets that carry at least {least + CHECKSUM_BYTES} bytes (one value "
                f"and its header), got {segment_bytes}; raise transport.mtu"
            )
        cut, start = Cut(source, coding.entropy == "zlib"), 0
        while start < len(source.positions):
            if segments.room < least:
                segments.next()
            count, chunk = cut.chunk(start, segments.room)
            segments.write(chunk)
            start += count
    return segments.body()


def sources(
    updates: Sequence[Update], coding: "PayloadCoding", rounding: Rounding, held: Collection[int]
) -> Iterator[Source]:
    """Yield what chunks are cut from, for each update that has coordinates."""
    for number, update in enumerate(updates):
        if update.coordinates.size:
            yield Source(number, update, coding.dtype, rounding, held)


def checked(content: bytes) -> bytes:
    """Return a segment: the content and its checksum."""
    return zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little") + content


class _Segments:
    """A body being written: chunks side by side, each inside one segment."""

    def __init__(self, segment_bytes: int) -> None:
        self.full_room = segment_bytes - CHECKSUM_BYTES
        self.room = self.full_room
        self._finished: list[bytes] = []
        self._chunks: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self.room -= len(chunk)

    def next(self) -> None:
        self._chunks.append(bytes(self.room))
        self._finish()

    def body(self) -> bytes:
        if self._chunks:
            self._finish()
        return b"".join(self._finished)

    def _finish(self) -> None:
        self._finished.append(checked(b"".join(self._chunks)))
        self._chunks, self.room = [], self.full_room


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
        ValueError: a segment is damaged, or contradicts itself, the layout or the lists. The
            message names the segment; without it, the others can be read.
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
            raise wrong(chunk.segment, f"update {chunk.number} changes its members or round")
    coordinates = np.concatenate([part for _, part in parts])
    if np.any(np.diff(coordinates) <= 0):
        raise wrong(first.segment, f"update {first.number} has coordinates out of order")
    values = np.concatenate([chunk.values for chunk, _ in parts])
    return Update(first.members, first.round, coordinates, values)


def chunks(
    body: bytes, segment_bytes: int, arrived: NDArray[np.bool_] | None = None
) -> Iterator[Chunk]:
    """Yield the chunks of the packets that arrived, in the order in which they were written.

    Raises:
        ValueError: a segment is damaged or contradicts itself; the message names it.
    """
    num_segments = -(-len(body) // segment_bytes)
    if arrived is not None and len(arrived) != num_segments:
        raise ValueError(f"expected {num_segments} packets, got {len(arrived)} in `arrived`")
    for number in range(num_segments):
        if arrived is None or arrived[number]:
            content = _content(body[number * segment_bytes : (number + 1) * segment_bytes], number)
            at = 0
            while at < len(content) and content[at]:
                chunk = read_chunk(content, at, number)
                at += chunk.num_bytes
                yield chunk


def _content(data: bytes, segment: int) -> bytes:
    content = data[CHECKSUM_BYTES:]
    if data[:CHECKSUM_BYTES] != zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little"):
        raise wrong(segment, f"its {len(data)} bytes are not as they were sent (checksum)")
    return content


def _coordinates(chunk: Chunk, layout_size: int, lists: Mapping[int, Coordinates]) -> Coordinates:
    try:
        positions = _positions.unpack(chunk.mask, chunk.coding, chunk.first, chunk.count)
    except ValueError as error:
        raise wrong(chunk.segment, str(error)) from None
    if chunk.list_hash is None:
        limit, known = layout_size, None
    elif chunk.list_hash in lists:
        known = lists[chunk.list_hash]
        limit = len(known)
    else:
        raise wrong(chunk.segment, f"the receiver has no list {chunk.list_hash:016x}")
    if positions[-1] >= limit:
        raise wrong(chunk.segment, f"expected positions below {limit}, got {positions[-1]}")
    return positions if known is None else known[positions]
