"""A small update in the packets of a large one.

The large update is what the codec would make of N coordinates that cost what the n of the small one
cost: packets of c coordinates each. Packet i of it holds its coordinates from i c to (i + 1) c - 1.
It carries the same stretch of the small update, coordinates floor(n i c / N) and on, as chunks
that stand alone; the rest of it is padding. So the fraction of the small update's coordinates that
is lost is the fraction of the large one's that is.

The body holds what packets carry without the padding, the same number of bytes for each.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Update
from cosim.learning.payload import _positions
from cosim.learning.payload._chunk import Source
from cosim.learning.payload.codec import (
    CHECKSUM_BYTES,
    Rounding,
    checked,
    chunks,
    encode,
    sources,
)

if TYPE_CHECKING:
    from cosim.scenario.tree import PayloadCoding


def encode_spread(
    updates: Sequence[Update],
    num_values: int,
    segment_bytes: int,
    coding: "PayloadCoding",
    rounding: Rounding,
    held: Collection[int] = (),
    each: Sequence[int] | None = None,
) -> tuple[int, bytes]:
    """Return the bytes to send for an update of `num_values` coordinates, and a body to `decode`.

    The body has as many bytes for each packet; these are the segments to decode it by.

    Args:
        updates: what is carried; one without coordinates takes no bytes.
        num_values: how many coordinates the large update has.
        segment_bytes: bytes of one packet.
        coding: as in `encode`.
        rounding: as in `encode`.
        held: as in `encode`.
        each: how many coordinates the large one has for each update; None if all grow alike.

    Raises:
        LearningError: as `encode` says, or the large update's packets have no room for the small
            one.
    """
    small = encode(updates, segment_bytes, coding, rounding, held)
    if not small:
        return 0, b""
    in_packet, num_bytes = large(small, segment_bytes, num_values, each)
    cut = list(sources(updates, coding, rounding, held))
    carried = [b"".join(part) for part in _parts(cut, num_values, in_packet)]
    longest = CHECKSUM_BYTES + max(map(len, carried))
    if longest > segment_bytes:
        raise LearningError(
            f"payload.scale_as: expected an architecture whose update is larger than that of the "
            f"model that trains, got one of {num_values} values, of which each packet would have "
            f"to carry up to {longest} bytes of the real update in {segment_bytes}; name a larger "
            f"architecture or train a smaller model"
        )
    # What the last packet carries may begin more chunks than the rest of the large update would.
    last_bytes = num_bytes - (len(carried) - 1) * segment_bytes
    num_bytes += max(0, CHECKSUM_BYTES + len(carried[-1]) - last_bytes)
    body = b"".join(checked(part.ljust(longest - CHECKSUM_BYTES, b"\0")) for part in carried)
    return num_bytes, body


def large(
    small: bytes, segment_bytes: int, num_values: int, each: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return how many coordinates a packet of the large update holds, and all its bytes.

    Args:
        small: what `encode` made of the small update, not empty.
        segment_bytes: bytes of one packet.
        num_values: how many coordinates the large update has.
        each: how many of them stand for each update; None if all grow alike.
    """
    cut = list(chunks(small, segment_bytes))
    head_bytes = CHECKSUM_BYTES + math.ceil(sum(chunk.head_bytes for chunk in cut) / len(cut))
    net_bytes, counts = Counter[int](), Counter[int]()
    for chunk in cut:
        net_bytes[chunk.number] += chunk.num_bytes - chunk.head_bytes
        counts[chunk.number] += chunk.count
    grown = counts if each is None else {number: each[number] for number in counts}
    total = sum(net_bytes[number] * grown[number] / counts[number] for number in counts)
    value_bytes = total / sum(grown.values())
    in_packet = max(1, int((segment_bytes - head_bytes) / value_bytes))
    num_full, rest = divmod(num_values, in_packet)
    last_bytes = min(segment_bytes, head_bytes + math.ceil(rest * value_bytes)) if rest else 0
    return in_packet, num_full * segment_bytes + last_bytes


def _parts(cut: list[Source], num_values: int, in_packet: int) -> Iterator[list[bytes]]:
    """Yield the chunks of each packet."""
    sizes = [len(source.positions) for source in cut]
    begins = [0, *accumulate(sizes)]
    ends = [*range(0, num_values, in_packet), num_values]
    for start, end in pairwise(begins[-1] * end // num_values for end in ends):
        part = []
        for source, begin, size in zip(cut, begins, sizes, strict=False):
            first, last = max(start - begin, 0), min(end - begin, size)
            if first < last:
                coding = _positions.smallest(source.positions[first:last])
                values = source.plain(first, last - first)
                part.append(source.chunk(first, last - first, coding, values))
        yield part
