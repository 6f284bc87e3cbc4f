"""A flow: the attempts of one payload that go out without a pause, and what became of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.radio.packets import Packets

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Uniforms:
    """The first numbers of one random stream, drawn as far as they are asked for.

    Args:
        read: returns numbers `first` to `first + count - 1`, called with (first, count).

    Attributes:
        read: the same, for a caller that asks once: nothing is kept.
    """

    def __init__(self, read: Callable[[int, int], Floats]) -> None:
        self.read = read
        self._drawn: Floats = np.empty(0)

    def first(self, num: int) -> Floats:
        """Return numbers 0 to `num - 1`, in [0, 1)."""
        missing = num - len(self._drawn)
        if missing > 0:
            drawn = self._drawn
            # At least twice as many as before, so that one by one costs no more than at once.
            more = self.read(len(drawn), max(missing, len(drawn), 8))
            self._drawn = np.concatenate([drawn, more]) if len(drawn) else more
        return self._drawn[:num]

    def nth(self, index: int) -> float:
        """Return number `index`."""
        return float(self.first(index + 1)[index])


@dataclass(slots=True, eq=False)
class Receiver:
    """One receiving end of a flow.

    Attributes:
        device: its number.
        noise_w_per_hz: noise density at it, N0 F.
        uniforms: number k decides over attempt k.
    """

    device: int
    noise_w_per_hz: float
    uniforms: Uniforms


@dataclass(slots=True, eq=False)
class Flow:
    """One payload on its way: the attempts that go out without a pause.

    Attributes:
        number: of the transfer, from 0 in the order of starts.
        src: the transmitter.
        receivers: who receives; R, at least 1.
        packets: how the payload is cut.
        wanted_power_w: transmit power that was asked for.
        start_s: when its first attempt begins.
        deadline_s: when it expires.
        delay_s: from the end of an attempt to its arrival: propagation and processing.
        domain: whose band it shares.
        max_attempts: attempts that a packet may use.
        sample_interval_s: dt of its channel.
        weight: for sharing rules with weights.
        held_snr: SNR that each receiver has collected of each packet before, infinite where it
            has the packet, [R, num]; None for a flow that is sent for the first time. Given only
            where a packet may use one attempt.
        interferers: flows of other domains whose power reaches a receiver.
        duty: part of the time in which it radiates, on average, as others hear it.
        power_scale: what part of the wanted power it has, where its device sends several flows
            that together would be more than the device's greatest power.
    """

    number: int
    src: int
    receivers: tuple[Receiver, ...]
    packets: Packets
    wanted_power_w: float
    start_s: float
    deadline_s: float
    delay_s: float
    domain: int
    max_attempts: int
    sample_interval_s: float
    weight: float = 1.0
    held_snr: Floats | None = None
    interferers: dict["Flow", None] = field(default_factory=dict)
    duty: float = 1.0
    power_scale: float = 1.0

    @property
    def power_w(self) -> float:
        """Transmit power at present."""
        return self.wanted_power_w * self.power_scale


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """Times on the air of the packets that were begun, [K], K at most the flow's packets.

    Attributes:
        start_s: start of the first attempt.
        end_s: end of the last attempt, or when it was cut.
        num_attempts: attempts begun, at least 1.
    """

    start_s: Floats
    end_s: Floats
    num_attempts: NDArray[np.int64]

    @staticmethod
    def none() -> "PacketTimes":
        """Return the times of no packets."""
        return PacketTimes(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Airing:
    """What a flow's time on the air came to.

    Attributes:
        end_s: end of its last attempt, or when it was cut.
        complete: whether every packet had all its attempts.
        num_attempts: attempts begun.
        num_begun: packets begun.
        served_bits: integral of the rate over the time on the air.
        lost_bits: bits of the attempts that ended and left a receiver without the packet.
        in_flight_bits: bits that were served of the attempt that was cut.
        radiated_j: transmit power integrated over the time in which something was sent.
        delivered_by: returns which packets had come through to each receiver, on the air, by a
            time that is not before the end less the flow's delay, [R, num_packets].
        collected_snr: returns the SNR that each receiver has collected of each packet, [R, num];
            only where attempts are combined.
        times: returns the packets' times; only where packets are recorded.
    """

    end_s: float
    complete: bool
    num_attempts: int
    num_begun: int
    served_bits: float
    lost_bits: float
    in_flight_bits: float
    radiated_j: float
    delivered_by: Callable[[float], Bools] = field(repr=False)
    collected_snr: Callable[[], Floats] = field(repr=False)
    times: Callable[[], PacketTimes] = field(repr=False)

    @staticmethod
    def has_begun(in_flight_bits: float, served_bits: float) -> bool:
        """Return whether bits of the attempt in flight have gone out, more than rounding leaves."""
        return in_flight_bits > 1e-12 * served_bits + 1e-9

    @staticmethod
    def nothing(flow: Flow, end_s: float) -> "Airing":
        """Return the airing of a flow of which nothing was sent."""
        shape = (len(flow.receivers), flow.packets.num)
        return Airing(
            end_s=end_s,
            complete=flow.packets.num == 0,
            num_attempts=0,
            num_begun=0,
            served_bits=0.0,
            lost_bits=0.0,
            in_flight_bits=0.0,
            radiated_j=0.0,
            delivered_by=lambda _: np.zeros(shape, dtype=np.bool_),
            collected_snr=lambda: np.zeros(shape) if flow.held_snr is None else flow.held_snr,
            times=PacketTimes.none,
        )
