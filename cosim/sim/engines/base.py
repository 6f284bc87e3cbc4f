"""What an engine is: it puts the packets of flows on the air and says what became of them.

A flow is one payload on its way over one link. Its attempts go out back to back; attempt k is
lost if the k-th number of the flow's own stream is below the loss probability at the SNR at the
attempt's start. Two engines implement this with the same results: `per_packet`, one event per
attempt, and `packet_train`, one event per change of a flow.

At one instant (`tolerance_s`) attempts end first; then the channel and the shares change; then
attempts begin, and see the new conditions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.boundary import Payload
from cosim.radio.budget import snr
from cosim.radio.error.base import PacketError
from cosim.radio.packets import Packets
from cosim.radio.rate.base import Rate
from cosim.radio.sampling import sample_times_s
from cosim.sim.check import InvariantError

Floats = NDArray[np.float64]
Gain = Callable[[int, int, Floats], Floats]


class Uniforms:
    """The first numbers of one random stream, drawn as far as they are asked for."""

    def __init__(self, stream: Callable[[], np.random.Generator]) -> None:
        self._stream = stream
        self._generator: np.random.Generator | None = None
        self._drawn: Floats = np.empty(0)

    def first(self, num: int) -> Floats:
        """Return numbers 0 to `num - 1`, in [0, 1)."""
        missing = num - len(self._drawn)
        if missing > 0:
            if self._generator is None:
                self._generator = self._stream()
            # At least twice as many as before, so that one by one costs no more than at once.
            more = self._generator.random(max(missing, len(self._drawn), 8))
            self._drawn = np.concatenate([self._drawn, more]) if len(self._drawn) else more
        return self._drawn[:num]

    def nth(self, index: int) -> float:
        """Return number `index`."""
        return float(self.first(index + 1)[index])


@dataclass(slots=True, eq=False)
class Flow:
    """One payload on its way over one link.

    Attributes:
        number: of the transfer, from 0 in the order of starts.
        payload: what is sent.
        packets: how it is cut.
        power_w: transmit power.
        start_s: when its first attempt begins.
        deadline_s: when it expires.
        delay_s: from the end of an attempt to its arrival: propagation and processing.
        domain: whose band it shares.
        max_attempts: attempts that a packet may use.
        noise_w_per_hz: noise density at the receiver, N0 F.
        sample_interval_s: dt of its channel.
        uniforms: number k decides over attempt k.
        share: fraction of the domain's band that it has now.
    """

    number: int
    payload: Payload
    packets: Packets
    power_w: float
    start_s: float
    deadline_s: float
    delay_s: float
    domain: int
    max_attempts: int
    noise_w_per_hz: float
    sample_interval_s: float
    uniforms: Uniforms
    share: float = 0.0


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
        served_bits: integral of the rate over the time on the air.
        lost_bits: bits of the attempts that ended and were lost.
        in_flight_bits: bits that were served of the attempt that was cut.
        delivered_by: returns which packets had come through, on the air, by a time that is not
            before the end less the flow's delay, [num_packets].
        times: returns the packets' times; only where packets are recorded.
    """

    end_s: float
    complete: bool
    num_attempts: int
    served_bits: float
    lost_bits: float
    in_flight_bits: float
    delivered_by: Callable[[float], NDArray[np.bool_]] = field(repr=False)
    times: Callable[[], PacketTimes] = field(repr=False)

    @staticmethod
    def nothing(packets: Packets, end_s: float) -> "Airing":
        """Return the airing of a flow of which nothing was sent."""
        return Airing(
            end_s=end_s,
            complete=packets.num == 0,
            num_attempts=0,
            served_bits=0.0,
            lost_bits=0.0,
            in_flight_bits=0.0,
            delivered_by=lambda _: np.zeros(packets.num, dtype=np.bool_),
            times=PacketTimes.none,
        )


@dataclass(frozen=True, slots=True)
class Medium:
    """What links are like: from a share of a band to SNR, rate and loss.

    Attributes:
        gain: linear power gain by (src, dst, times).
        bandwidth_hz: band of one domain.
        rate, error: the models of the link.
        check: whether to check what they return.
    """

    gain: Gain
    bandwidth_hz: float
    rate: Rate
    error: PacketError
    check: bool = False

    def gains(self, flow: Flow, first: int, num: int) -> Floats:
        """Return the gain of a flow's link at channel samples `first`, ..., [num]."""
        times = sample_times_s(first, num, flow.sample_interval_s, flow.start_s)
        return np.asarray(self.gain(flow.payload.src, flow.payload.dst, times), float)

    def conditions(self, flow: Flow, gain: Floats) -> tuple[Floats, Floats]:
        """Return SNR and rate in bit/s at these gains on the flow's share, [K] each."""
        if flow.share <= 0.0:
            return np.zeros(len(gain)), np.zeros(len(gain))
        bandwidth_hz = flow.share * self.bandwidth_hz
        ratio = snr(flow.power_w, gain, flow.noise_w_per_hz * bandwidth_hz)
        rate_bps = self.rate.bps(ratio, bandwidth_hz, flow.share)
        if self.check and not (np.isfinite(rate_bps).all() and (rate_bps >= 0.0).all()):
            raise InvariantError(f"rates must be finite and >= 0, got {rate_bps} at SNR {ratio}")
        return ratio, rate_bps

    def loss(self, ratio: Floats, packet_bits: float) -> Floats:
        """Return the loss probability of an attempt of `packet_bits` at each SNR, [K]."""
        return self.error.probability(ratio, np.full(len(ratio), packet_bits))


class Timer:
    """One callback in the future; setting it again replaces the one before.

    SimPy cannot take an event back, so a replaced one stays in its queue, empty, until its time.
    """

    def __init__(self, env: simpy.Environment, callback: Callable[[float], None]) -> None:
        self._env = env
        self._callback = callback
        self._event: simpy.Event | None = None
        self._at_s = float("inf")

    @property
    def pending(self) -> bool:
        """Whether a call is to come."""
        return self._event is not None

    def set(self, at_s: float) -> None:
        """Call `callback(at_s)` at that time, or never if it is infinite."""
        if self._event is not None and at_s == self._at_s:
            return
        self.cancel()
        if at_s < float("inf"):
            self._at_s = at_s
            self._event = self._env.timeout(max(at_s - self._env.now, 0.0))
            self._event.callbacks = [partial(self._fire, at_s)]

    def cancel(self) -> None:
        """Forget what was set."""
        if self._event is not None:
            self._event.callbacks = []
            self._event = None

    def _fire(self, at_s: float, _: simpy.Event) -> None:
        self._event = None
        self._callback(at_s)


class Engine(ABC):
    """Puts flows on the air.

    Args:
        env: the event loop.
        medium: what links are like.
        aired: called with a flow and its `Airing` when its last attempt has ended.
        record: whether the times of packets will be asked for.
    """

    def __init__(
        self,
        env: simpy.Environment,
        medium: Medium,
        aired: Callable[[Flow, Airing], None],
        record: bool,
    ) -> None:
        self.env = env
        self.medium = medium
        self.aired = aired
        self.record = record

    @abstractmethod
    def begin(self, flow: Flow) -> None:
        """Take a flow of at least one packet; it has no share yet."""

    @abstractmethod
    def refresh(self, domain: int, flows: Sequence[Flow]) -> None:
        """Go on with these flows, all that are on the air in `domain`, at their shares now."""

    @abstractmethod
    def cut(self, flow: Flow) -> Airing:
        """Take a flow off the air now; `aired` is not called for it."""

    @abstractmethod
    def gain(self, flow: Flow) -> float:
        """Return the gain of a flow's link now."""

    @abstractmethod
    def remaining_bits(self, flow: Flow) -> float:
        """Return the bits still to be served if no attempt is lost from now on."""
