"""Packetisation: how many packets an update becomes, and how many bits each puts on the air.

A packet of at most MTU bytes is a header and a segment of the update. All packets are full but
the last, which carries what is left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Packets:
    """The packets of one transfer: all of `full_bits` but the last, of `last_bits`.

    Attributes:
        num: number of packets; 0 for an empty update.
        full_bits: bits on the air of a full packet, header included.
        last_bits: bits on the air of the last packet, header included.
    """

    num: int
    full_bits: float
    last_bits: float

    @property
    def num_full(self) -> int:
        """Number of leading packets of `full_bits`: all, or all but the last."""
        return self.num if self.last_bits == self.full_bits else self.num - 1

    @property
    def total_bits(self) -> float:
        """Bits on the air of one attempt of each packet."""
        return (self.num - 1) * self.full_bits + self.last_bits if self.num else 0.0

    def bits(self) -> NDArray[np.float64]:
        """Return the bits on the air of each packet, [num]."""
        bits = np.full(self.num, self.full_bits)
        bits[self.num_full :] = self.last_bits
        return bits


def segment_bytes(mtu_bytes: float, header_bytes: float) -> int:
    """Return how many bytes of an update one packet carries.

    Raises:
        ValueError: the header leaves no whole byte of the MTU.
    """
    room = int(mtu_bytes - header_bytes)
    if room < 1:
        raise ValueError(
            f"expected an MTU of at least one byte more than the header ({header_bytes:g} B), "
            f"got {mtu_bytes:g} B; raise transport.mtu or lower transport.header"
        )
    return room


def packetise(num_bytes: int, segment_bytes: int, header_bytes: float) -> Packets:
    """Cut an update of `num_bytes` into packets of `segment_bytes` and a header each.

    Raises:
        ValueError: a negative update or an empty segment.
    """
    if num_bytes < 0 or segment_bytes < 1:
        raise ValueError(
            f"expected num_bytes >= 0 and segment_bytes >= 1, got {num_bytes} and {segment_bytes}"
        )
    num = -(-num_bytes // segment_bytes)
    last = num_bytes - (num - 1) * segment_bytes if num else segment_bytes
    return Packets(num, 8.0 * (segment_bytes + header_bytes), 8.0 * (last + header_bytes))


def on_air_bits(num_bytes: int, mtu_bytes: float, header_bytes: float) -> float:
    """Return the bits that an update puts on the air, headers included, when none is lost."""
    return packetise(num_bytes, segment_bytes(mtu_bytes, header_bytes), header_bytes).total_bits
