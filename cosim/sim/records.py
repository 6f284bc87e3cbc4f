"""What the network says of a transfer that has ended, for the tables."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.boundary import Outcome


@dataclass(frozen=True)
class FlowRecord:
    """One transfer: a row of the table `flows`.

    Attributes:
        payload_bits: application bits, without headers.
        num_attempts: attempts begun.
        num_lost: packets that were sent, at least in part, and did not arrive.
        num_unsent: packets that were never begun.
        energy_j: what was radiated over the amplifier's efficiency: transmit power integrated over
            the time in which something was sent.
        air_bits: bits on the air, headers and repeated attempts counted.
        delivered_bits: application bits of the packets that arrived.
    """

    flow: int
    round: int
    kind: str
    src: int
    dst: int
    start_s: float
    end_s: float
    payload_bits: float
    num_packets: int
    num_attempts: int
    num_lost: int
    num_unsent: int
    outcome: Outcome
    energy_j: float
    air_bits: float
    delivered_bits: float


@dataclass(frozen=True)
class PacketRecord:
    """The packets of one transfer that were begun: K rows of the table `packets`.

    Attributes:
        flow: number of the transfer.
        packet: which packets, [K].
        start_s: start of each one's first attempt, [K].
        end_s: end on the air of its last attempt, or when that was cut, [K].
        num_attempts: attempts begun, [K].
        delivered: whether it arrived, [K].
    """

    flow: int
    packet: NDArray[np.int64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    num_attempts: NDArray[np.int64]
    delivered: NDArray[np.bool_]
