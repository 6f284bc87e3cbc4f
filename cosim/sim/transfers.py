"""Transfers: one payload on its way to one receiver, or to several at once, round by round.

With an acknowledgement delay a payload goes out in rounds: all packets once, then, when the block
acknowledgement is there, those again that a receiver still lacks. Each round is a flow of its own
on the air; what its receivers have, and what SNR they have collected, is kept here in between.
Without a delay there is one round, in which lost packets are sent again at once.

What a transmitter spends is divided evenly among those receivers whose transfers are open at the
time, so that the sums over the rows of a multicast are what it spent.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.boundary import Outcome, Payload
from cosim.radio.packets import Packets
from cosim.sim.admission import Request
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
        weight: for sharing rules with weights.

    Attributes:
        flow: of the present round.
        airing: of the present round, once it has left the air.
        request: by which the present round asks for the air; None where nothing ever waits.
        round: number of the present round, from 0.
        members: numbers of the receivers of the present round: those that were open when it
            went on the air.
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
        weight: float,
    ) -> None:
        self.payloads = tuple(payloads)
        self.transfers = tuple(transfers)
        self.packets = packets
        self.power_w = power_w
        self.start_s = start_s
        self.deadline_s = deadline_s
        self.delay_s = delay_s
        self.earlier = tuple(earlier)
        self.weight = weight
        self.flow: Flow | None = None
        self.airing: Airing | None = None
        self.request: Request | None = None
        self.round = 0
        self.members = tuple(range(len(self.payloads)))
        self.is_on_air = False
        self.is_closed = [False] * len(self.payloads)
        self._pending: Ints | None = None  # packets of the present round; None for all
        self._has: Bools | None = None  # [R, num], after the rounds before
        self._collected: Floats | None = None  # [R, num], likewise
        self._times: PacketTimes | None = None  # of all packets, likewise
        self._num_attempts = 0  # in the rounds before
        self._booked = (0.0, 0.0)  # bits and joules of this round that are divided up
        self._air_bits = [0.0] * len(self.payloads)  # each receiver's part of all until then
        self._radiated_j = [0.0] * len(self.payloads)

    @property
    def number(self) -> int:
        """Number of the first transfer."""
        return self.transfers[0].number

    @property
    def src(self) -> int:
        """The transmitter."""
        return self.payloads[0].src

    @property
    def num_bytes(self) -> int:
        """Application bytes."""
        return self.payloads[0].num_bytes

    @property
    def has_ended(self) -> bool:
        """Whether the transfers of all receivers have ended."""
        return False not in self.is_closed

    def open_receivers(self) -> tuple[int, ...]:
        """Return the numbers of the receivers whose transfers have not ended."""
        return tuple(number for number, closed in enumerate(self.is_closed) if not closed)

    def round_packets(self) -> Packets:
        """Return the packets of the present round."""
        if self._pending is None:
            return self.packets
        packets = self.packets
        has_last = packets.num_full < packets.num and self._pending[-1] == packets.num - 1
        last_bits = packets.last_bits if has_last else packets.full_bits
        return Packets(len(self._pending), packets.full_bits, last_bits)

    def held_snr(self) -> Floats | None:
        """Return the SNR that members have collected of this round's packets before, [M, n].

        It is infinite for packets that they have; None in the first round.
        """
        if self._pending is None or self._has is None or self._collected is None:
            return None
        held = np.where(self._has, np.inf, self._collected)
        return np.asarray(held[self._of_round()])

    def lacks(self) -> bool:
        """Return whether a receiver lacks a packet after the present round."""
        assert self.airing is not None
        return not self._settled(self.has_by(self.airing.end_s)).all()

    def _settled(self, has: Bools) -> Bools:
        """Return which packets need not be sent again: had, or for a receiver that is gone."""
        return np.asarray(has | np.array(self.is_closed)[:, np.newaxis])

    def next_round(self, record: bool) -> None:
        """Take in the present round, which is complete, and go on to the next.

        Args:
            record: whether the packets' times are asked for at the end.
        """
        airing = self.airing
        assert airing is not None
        self.book()
        self._booked = (0.0, 0.0)
        self._num_attempts += airing.num_attempts
        self._times = self.times() if record else None
        collected = np.zeros((len(self.payloads), self.packets.num))
        collected[self._of_round()] = airing.collected_snr()
        self._collected, self._has = collected, self.has_by(airing.end_s)
        self._pending = np.flatnonzero(~self._settled(self._has).all(axis=0))
        self.round += 1
        self.flow = self.airing = None

    def book(self) -> None:
        """Divide what was spent since the last time among the receivers that are open."""
        if self.airing is None:
            return
        spent = (self.airing.served_bits, self.airing.radiated_j)
        bits, radiated_j = spent[0] - self._booked[0], spent[1] - self._booked[1]
        receivers = self.open_receivers()
        for receiver in receivers:
            self._air_bits[receiver] += bits / len(receivers)
            self._radiated_j[receiver] += radiated_j / len(receivers)
        self._booked = spent

    def _of_round(self) -> tuple[Ints, Ints]:
        """Return where this round's members and packets are in an array [R, num]."""
        pending = np.arange(self.packets.num) if self._pending is None else self._pending
        members, packets = np.ix_(np.array(self.members), pending)
        return members, packets

    def has_by(self, t_s: float) -> Bools:
        """Return which packets had come through to each receiver, on the air, [R, num].

        Args:
            t_s: by when; not before the airing's end less the delay.
        """
        shape = (len(self.payloads), self.packets.num)
        has = np.zeros(shape, dtype=np.bool_) if self._has is None else self._has.copy()
        if self.airing is not None:
            through = self.airing.delivered_by(t_s)
            if through.shape == shape:
                return through if self._has is None else np.asarray(has | through)
            has[self._of_round()] |= through
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
        """Return the transfer's row for one receiver, once what was spent is booked.

        Args:
            receiver: its number in the multicast.
            arrived: packets that it has, [num].
            outcome: how it ended.
            end_s: when.
            efficiency: of the transmitter's amplifier.
        """
        payload = self.payloads[receiver]
        attempts = self._num_attempts
        if self.airing is not None:
            attempts += self.airing.num_attempts
        num_begun = self.packets.num
        if self.round == 0:
            num_begun = self.airing.num_begun if self.airing is not None else 0
        num_arrived = int(np.count_nonzero(arrived))
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
            num_lost=num_begun - num_arrived,
            num_unsent=self.packets.num - num_begun,
            outcome=outcome,
            energy_j=self._radiated_j[receiver] / efficiency,
            air_bits=self._air_bits[receiver],
            delivered_bits=8.0 * _arrived_bytes(payload, arrived, num_arrived),
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
                f"expected one source and size in a multicast (device {first.src}, "
                f"{first.num_bytes} bytes), got device {payload.src}, {payload.num_bytes} bytes"
            )
        if payload.body != first.body:
            raise ValueError(
                f"expected the same bytes for each receiver of a multicast, got others for "
                f"{payload.dst} than for {first.dst}; send them one by one"
            )
    if len(payloads) > 1:
        (dst, times), *_ = Counter(payload.dst for payload in payloads).most_common(1)
        if times > 1:
            raise ValueError(f"expected each receiver once in a multicast, got {dst} {times} times")
    if not 0.0 < power_w < math.inf:
        raise ValueError(f"expected a transmit power above 0 W and finite, got {power_w} W")


def _arrived_bytes(payload: Payload, arrived: Bools, num_arrived: int) -> int:
    """Return the application bytes of the packets that arrived, as many as said."""
    if num_arrived == 0:
        return 0
    short = payload.num_packets * payload.segment_bytes - payload.num_bytes  # of the last packet
    return num_arrived * payload.segment_bytes - short * int(arrived[-1])
