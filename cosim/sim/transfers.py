"""Transfers: one payload on its way to one receiver, or to several at once, round by round.

With an acknowledgement delay a payload goes out in rounds: all packets once, then, when the block
acknowledgement is there, those again that a receiver still lacks. Each round is a flow of its own
on the air; what its receivers have, and what SNR they have collected, is kept here in between.
Without a delay there is one round, in which lost packets are sent again at once.
"""

import math
from collections.abc import Sequence

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.boundary import Outcome, Payload
from cosim.radio.packets import Packets
from cosim.sim.engines.flow import Airing, Flow, PacketTimes
from cosim.sim.records import FlowRecord, PacketRecord

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Transfer(simpy.Event):
    """The event of one send to one receiver; it triggers with a `Delivery` and never fails.

    Attributes:
        number: of the transfer.
    """

    def __init__(self, env: simpy.Environment, number: int) -> None:
        super().__init__(env)
        self.number = number


class Sending:
    """One payload on its way to R receivers.

    Args:
        payloads: one for each receiver, of the same bytes.
        transfers: one for each receiver.
        packets: how the payload is cut.
        power_w: transmit power.
        start_s: when it was handed to the network.
        deadline_s: when it expires.
        delay_s: from the end of an attempt to its arrival, at the farthest receiver.
        earlier: how many transfers went before it between each pair of ends.

    Attributes:
        flow: of the present round.
        airing: of the present round, once it has left the air.
        round: number of the present round, from 0.
        is_on_air: whether `flow` is on the air.
        is_closed: whether each receiver's transfer has ended, [R].
    """

    def __init__(
        self,
        payloads: Sequence[Payload],
        transfers: Sequence[Transfer],
        packets: Packets,
        power_w: float,
        start_s: float,
        deadline_s: float,
        delay_s: float,
        earlier: Sequence[int],
    ) -> None:
        self.payloads = tuple(payloads)
        self.transfers = tuple(transfers)
        self.packets = packets
        self.power_w = power_w
        self.start_s = start_s
        self.deadline_s = deadline_s
        self.delay_s = delay_s
        self.earlier = tuple(earlier)
        self.flow: Flow | None = None
        self.airing: Airing | None = None
        self.round = 0
        self.is_on_air = False
        self.is_closed = [False] * len(self.payloads)
        self._pending: Ints | None = None  # packets of the present round; None for all
        self._has: Bools | None = None  # [R, num], after the rounds before
        self._collected: Floats | None = None  # [R, num], likewise
        self._times: PacketTimes | None = None  # of all packets, likewise
        self._num_attempts = 0
        self._served_bits = 0.0
        self._air_s = 0.0

    @property
    def src(self) -> int:
        """The transmitter."""
        return self.payloads[0].src

    @property
    def num_bytes(self) -> int:
        """Application bytes."""
        return self.payloads[0].num_bytes

    def round_packets(self) -> Packets:
        """Return the packets of the present round."""
        if self._pending is None:
            return self.packets
        packets = self.packets
        has_last = packets.num_full < packets.num and self._pending[-1] == packets.num - 1
        last_bits = packets.last_bits if has_last else packets.full_bits
        return Packets(len(self._pending), packets.full_bits, last_bits)

    def held_snr(self) -> Floats | None:
        """Return the SNR collected of this round's packets, infinite for those held, [R, n]."""
        if self._pending is None or self._has is None or self._collected is None:
            return None
        held = np.where(self._has, np.inf, self._collected)
        return np.asarray(held[:, self._pending])

    def lacks(self) -> bool:
        """Return whether a receiver lacks a packet after the present round."""
        assert self.airing is not None
        return not self._settled(self.has_by(self.airing.end_s)).all()

    def _settled(self, has: Bools) -> Bools:
        """Return which packets need not be sent again: had, or for a receiver that is gone."""
        return has | np.array(self.is_closed)[:, np.newaxis]

    def next_round(self, record: bool) -> None:
        """Take in the present round, which is complete, and go on to the next.

        Args:
            record: whether the packets' times are asked for at the end.
        """
        airing = self.airing
        assert airing is not None
        self._times = self.times() if record else None
        self._collected = self._spread(airing.collected_snr(), 0.0)
        self._has = self.has_by(airing.end_s)
        self._pending = np.flatnonzero(~self._settled(self._has).all(axis=0))
        self._add(airing)
        self.round += 1
        self.flow = self.airing = None

    def _add(self, airing: Airing) -> None:
        assert self.flow is not None
        self._num_attempts += airing.num_attempts
        self._served_bits += airing.served_bits
        self._air_s += airing.end_s - self.flow.start_s

    def _spread(self, of_round: Floats, fill: float) -> Floats:
        """Return an array [R, n] of this round as one of all packets, [R, num]."""
        if self._pending is None:
            return of_round
        spread = np.full((len(self.payloads), self.packets.num), fill)
        spread[:, self._pending] = of_round
        return spread

    def has_by(self, t_s: float) -> Bools:
        """Return which packets had come through to each receiver, on the air, [R, num].

        Args:
            t_s: by when; not before the airing's end less the delay.
        """
        shape = (len(self.payloads), self.packets.num)
        has = np.zeros(shape, dtype=np.bool_) if self._has is None else self._has.copy()
        if self.airing is not None:
            through = self.airing.delivered_by(t_s)
            if self._pending is None:
                has |= through
            else:
                has[:, self._pending] |= through
        return has

    def times(self) -> PacketTimes:
        """Return the times of the packets that were begun, in all rounds."""
        now = self.airing.times() if self.airing is not None else PacketTimes.none()
        before = self._times
        if before is None:
            return now
        assert self._pending is not None
        which = self._pending[: len(now.start_s)]
        end_s, num_attempts = before.end_s.copy(), before.num_attempts.copy()
        end_s[which] = now.end_s
        num_attempts[which] += now.num_attempts
        return PacketTimes(before.start_s, end_s, num_attempts)

    def packet_record(self, receiver: int, arrived: Bools) -> PacketRecord:
        """Return the packets' rows for one receiver, which has `arrived` [num]."""
        times = self.times()
        num = len(times.start_s)
        return PacketRecord(
            flow=self.transfers[receiver].number,
            packet=np.arange(num),
            start_s=times.start_s,
            end_s=times.end_s,
            num_attempts=times.num_attempts,
            delivered=arrived[:num],
        )

    def flow_record(
        self, receiver: int, arrived: Bools, outcome: Outcome, end_s: float, efficiency: float
    ) -> FlowRecord:
        """Return the transfer's row for one receiver.

        What the transmitter spends is divided evenly among the receivers' rows.

        Args:
            receiver: its number in the multicast.
            arrived: packets that it has, [num].
            outcome: how it ended.
            end_s: when.
            efficiency: of the transmitter's amplifier.
        """
        payload, num = self.payloads[receiver], len(self.payloads)
        airing, flow = self.airing, self.flow
        attempts, served_bits, air_s = self._num_attempts, self._served_bits, self._air_s
        if airing is not None and flow is not None:
            attempts += airing.num_attempts
            served_bits += airing.served_bits
            air_s += airing.end_s - flow.start_s
        return FlowRecord(
            flow=self.transfers[receiver].number,
            round=payload.round,
            kind=payload.kind,
            src=payload.src,
            dst=payload.dst,
            start_s=self.start_s,
            end_s=end_s,
            payload_bits=8.0 * payload.num_bytes,
            num_packets=self.packets.num,
            num_attempts=attempts,
            num_lost=self.packets.num - int(np.count_nonzero(arrived)),
            outcome=outcome,
            energy_j=self.power_w / efficiency * air_s / num,
            air_bits=served_bits / num,
            delivered_bits=8.0 * _arrived_bytes(payload, arrived),
        )


def check_payloads(
    payloads: Sequence[Payload], power_w: float, num_devices: int, segment_bytes: int
) -> None:
    """Refuse what cannot be sent.

    Args:
        payloads: one for each receiver.
        power_w: transmit power.
        num_devices: how many devices there are.
        segment_bytes: application bytes of a packet.

    Raises:
        ValueError: what `Network.multicast` says.
    """
    if not payloads:
        raise ValueError("expected at least one payload, got none")
    first, last = payloads[0], num_devices - 1
    for payload in payloads:
        for name, device in (("src", payload.src), ("dst", payload.dst)):
            if not 0 <= device <= last:
                raise ValueError(f"expected {name} to be a device from 0 to {last}, got {device}")
        if payload.src == payload.dst:
            raise ValueError(f"expected two devices, got a link of {payload.src} to itself")
        if payload.num_bytes < 0:
            raise ValueError(f"expected a payload of at least 0 bytes, got {payload.num_bytes}")
        if payload.segment_bytes != segment_bytes:
            raise ValueError(
                f"expected segments of {segment_bytes} bytes (transport.mtu less header), "
                f"got {payload.segment_bytes}"
            )
        if (payload.src, payload.num_bytes) != (first.src, first.num_bytes):
            raise ValueError(
                f"expected one source and size in a multicast ({first.src}, {first.num_bytes} "
                f"bytes), got {payload.src}, {payload.num_bytes} bytes"
            )
    if len({payload.dst for payload in payloads}) < len(payloads):
        raise ValueError("expected each receiver once in a multicast")
    if not 0.0 < power_w < math.inf:
        raise ValueError(f"expected a transmit power above 0 W and finite, got {power_w} W")


def _arrived_bytes(payload: Payload, arrived: Bools) -> int:
    """Return the application bytes of the packets that arrived."""
    if not arrived.any():
        return 0
    short = payload.num_packets * payload.segment_bytes - payload.num_bytes  # of the last packet
    return int(np.count_nonzero(arrived)) * payload.segment_bytes - short * int(arrived[-1])
