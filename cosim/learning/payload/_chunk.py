"""One chunk: a run of one update's coordinates, and all that a receiver needs to place them.

    header     flags, position coding, update number, round, values, bytes that follow the header's
               end, first position, first member: 20 bytes
    list       hash of the list that positions are places of, where they are (8 bytes)
    members    how many and the gaps between them, where there is more than one
    scale      of int8 (4 bytes)
    values     little-endian
    positions  after the first, in the coding that takes most coordinates along (a dense range
               takes no bytes)

Where values are entropy-coded, their most significant bytes come last, by themselves and under a
Huffman code of their own (a deflate stream). Sign and exponent are in these bytes, and vary
little; all others of a trained adapter are noise, which no code makes shorter.
"""

import hashlib
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Coordinates, Members, Update
from cosim.learning.payload import _positions, _values
from cosim.learning.payload._values import SCALE_BYTES, VALUE_BYTES, Dtype, Rounding, Values

# flags, position coding, update number, round, values, bytes after the header, first position,
# first member
_HEADER = struct.Struct("<BBHIHHII")
HEADER_BYTES = _HEADER.size
_LIST = struct.Struct("<Q")
_MEMBERS = struct.Struct("<HB")  # how many, width of the gaps between them
# Flags; the first is always set, as padding is zeros. The type of the values is in bits 4 and 5.
_CHUNK, _LISTED, _MANY, _PRESSED = 1, 2, 4, 8
_DTYPES: tuple[Dtype, ...] = get_args(Dtype)
_DTYPE_SHIFT = 4

MAX_COUNT = 0xFFFF  # values and bytes that a header can tell of


def list_id(coordinates: Coordinates) -> int:
    """Return the 64-bit hash by which sender and receiver name a list of coordinates."""
    digest = hashlib.blake2b(coordinates.astype("<i8").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def is_range(coordinates: Coordinates) -> bool:
    """Return whether coordinates are a dense range, which costs no position bytes."""
    return bool(coordinates[-1] - coordinates[0] == len(coordinates) - 1)


class Source:
    """An update from which chunks are cut.

    Attributes:
        positions: of its coordinates, or their places in a list that the receiver holds, [k].
        frame_bytes: bytes of a chunk before the scale.
        scale_bytes: bytes of the scale.
        value_bytes: bytes of a value that is not entropy-coded.
    """

    def __init__(
        self,
        number: int,
        update: Update,
        dtype: Dtype,
        rounding: Rounding,
        held: Collection[int] = (),
    ) -> None:
        _check_finite(update, rounding.src)
        self._number, self._round = number, update.round
        self._flags = _CHUNK | _DTYPES.index(dtype) << _DTYPE_SHIFT
        self.positions, name = update.coordinates, b""
        if held and not is_range(self.positions) and (hashed := list_id(self.positions)) in held:
            self.positions, name = np.arange(len(self.positions)), _LIST.pack(hashed)
            self._flags |= _LISTED
        members = b""
        if len(update.members) > 1:
            listed = np.array(update.members, dtype=np.int64)
            width = int(_positions.widths(_positions.gaps(listed)).max())
            members = _MEMBERS.pack(len(listed), width) + _positions.pack(listed, width)
            self._flags |= _MANY
        self._first_member = update.members[0]
        self._extra = name + members
        self.frame_bytes = _HEADER.size + len(self._extra)
        self.scale_bytes = SCALE_BYTES[dtype]
        self.value_bytes = VALUE_BYTES[dtype]
        uniform = rounding.uniform(number, update.coordinates) if dtype == "int8" else None
        self._values = Values(update.values, dtype, uniform)

    def plain(self, start: int, count: int) -> bytes:
        """Return the scale and the values of `count` coordinates from `start`."""
        scale, values = self._values.run(start, count)
        return scale + values.tobytes()

    def pressed(self, start: int, count: int) -> bytes:
        """Return the scale and the values of `count` coordinates from `start`, entropy-coded."""
        scale, values = self._values.run(start, count)
        # The window is as small as can be: a Huffman code alone looks for no repetitions.
        press = zlib.compressobj(9, zlib.DEFLATED, -9, 8, zlib.Z_HUFFMAN_ONLY)
        high = press.compress(values[:, -1].tobytes()) + press.flush()
        return scale + values[:, :-1].tobytes() + high

    def chunk(
        self, start: int, count: int, coding: int, values: bytes, pressed: bool = False
    ) -> bytes:
        """Return `count` coordinates from `start` as a chunk.

        Args:
            start: first of them.
            count: how many.
            coding: of the positions.
            values: what `plain` or `pressed` returned of them.
            pressed: which.
        """
        positions = self.positions[start : start + count]
        mask = _positions.pack(positions, coding)
        header = _HEADER.pack(
            self._flags | (_PRESSED if pressed else 0),
            coding,
            self._number,
            self._round,
            count,
            len(values) + len(mask),
            int(positions[0]),
            self._first_member,
        )
        return b"".join((header, self._extra, values, mask))


def _check_finite(update: Update, src: int) -> None:
    finite = np.isfinite(update.values)
    if not finite.all():
        at = int(np.argmin(finite))
        raise LearningError(
            f"device {src}, round {update.round}: expected finite numbers to send, got "
            f"{update.values[at]} at coordinate {update.coordinates[at]}; nothing was sent; lower "
            f"learning.local.lr, learning.local.clip or learning.method.scale"
        )


@dataclass(frozen=True)
class Chunk:
    """One chunk as its header tells it, and its bytes.

    Attributes:
        coding: of the positions.
        first: first position: a coordinate, or a place in the list `list_hash`.
        list_hash: the list of coordinates that positions are places of; None for coordinates.
        head_bytes: bytes beside values and positions.
        num_bytes: all its bytes.
    """

    segment: int
    number: int
    round: int
    members: Members
    count: int
    coding: int
    first: int
    list_hash: int | None
    head_bytes: int
    num_bytes: int
    mask: bytes = field(repr=False)
    values: NDArray[np.float32] = field(repr=False)


def read_chunk(data: bytes, at: int, segment: int) -> Chunk:
    """Return the chunk that begins at a byte of a segment.

    Raises:
        ValueError: it contradicts itself or the segment.
    """
    if len(data) - at < _HEADER.size:
        raise wrong(segment, f"expected a header of {_HEADER.size} bytes, got {len(data) - at}")
    flags, coding, number, round, count, size, first, member = _HEADER.unpack_from(data, at)
    known = _CHUNK | _LISTED | _MANY | _PRESSED | (len(_DTYPES) - 1) << _DTYPE_SHIFT
    if not flags & _CHUNK or flags & ~known or not count:
        raise wrong(segment, f"no chunk begins with flags {flags}, {count} values")
    if not _positions.is_coding(coding):
        raise wrong(segment, f"there is no position coding {coding}")
    dtype = _DTYPES[flags >> _DTYPE_SHIFT & (len(_DTYPES) - 1)]
    here, list_hash, members = at + _HEADER.size, None, (member,)
    try:
        if flags & _LISTED:
            (list_hash,) = _LIST.unpack_from(data, here)
            here += _LIST.size
        if flags & _MANY:
            num_members, member_width = _MEMBERS.unpack_from(data, here)
            if num_members < 2 or member_width > _positions.MAX_WIDTH:
                raise ValueError(f"{num_members} members with gaps of {member_width} bits")
            gaps_at = here + _MEMBERS.size
            here = gaps_at + _positions.num_bytes(member_width, num_members)
            listed = _positions.unpack(data[gaps_at:here], member_width, member, num_members)
            members = tuple(listed.tolist())
    except (struct.error, ValueError) as error:
        raise wrong(segment, f"no list or members: {error}") from None
    end = here + size
    if end > len(data):
        raise wrong(segment, f"expected a chunk of {end - at} bytes, got {len(data) - at}")
    values_at = here + SCALE_BYTES[dtype]
    coded, mask = _read_values(data[values_at:end], count, dtype, bool(flags & _PRESSED), segment)
    if coding < _positions.RICE and len(mask) != _positions.num_bytes(coding, count):
        raise wrong(segment, f"{count} positions of {coding} bits do not take {len(mask)} bytes")
    return Chunk(
        segment=segment,
        number=number,
        round=round,
        members=members,
        count=count,
        coding=coding,
        first=first,
        list_hash=list_hash,
        head_bytes=values_at - at,
        num_bytes=end - at,
        mask=mask,
        values=_values.read(data[here:values_at], coded, dtype),
    )


def _read_values(
    data: bytes, count: int, dtype: Dtype, pressed: bool, segment: int
) -> tuple[bytes, bytes]:
    """Return the bytes of the values, and those that follow them."""
    size = VALUE_BYTES[dtype]
    end = count * (size - 1 if pressed else size)
    if len(data) < end:
        raise wrong(segment, f"{count} values do not fit into {len(data)} bytes")
    if not pressed:
        return data[:end], data[end:]
    press = zlib.decompressobj(-9)
    try:
        high = press.decompress(data[end:], count + 1)
    except zlib.error as error:
        raise wrong(segment, f"values cannot be read: {error}") from None
    if len(high) != count or not press.eof:
        raise wrong(segment, f"expected the first bytes of {count} values, got {len(high)}")
    coded = np.empty((count, size), dtype=np.uint8)
    coded[:, :-1] = np.frombuffer(data, np.uint8, end).reshape(count, size - 1)
    coded[:, -1] = np.frombuffer(high, np.uint8)
    return coded.tobytes(), press.unused_data


def wrong(segment: int, reason: str) -> ValueError:
    """Return the error of a segment that cannot be read."""
    return ValueError(f"segment {segment}: {reason}")
