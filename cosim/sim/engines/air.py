"""The air: from gains, powers and shares to SNR, rate and loss; and who has which share.

With all of the band a flow has the SNR (with interference)

    sinr = p g / (B (N0 F + I)),   I = sum over interferers of p_i g_i / B

On a share s of the band its power is all in the share, and noise and interference are those of the
share: its SNR is sinr / s. Where the band has resource blocks, a share of less than one is a whole
block for some of the time, its duty: it then has the SNR of a block, its rate is that of a block
times the duty, and it radiates for as long. Turns are so short that only their mean counts.

The power of an interferer is spread over the whole band on average, whatever its share is, and
weighed by the part of the time in which it has its turn. A rate of 0 is not foreseen: a flow that
waits for a better channel disturbs as if it sent.

Arrays have the axes [R, K, C]: receivers, channel samples, resource blocks (C = 1 where the channel
is flat over the band).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.radio.error.base import PacketError
from cosim.radio.rate.base import Rate
from cosim.radio.resource_blocks import deal, whole_blocks
from cosim.radio.sampling import sample_times_s
from cosim.radio.sharing.base import Demand, Division, SharingRule
from cosim.sim.check import InvariantError, Invariants
from cosim.sim.engines.flow import Flow
from cosim.world.world import World

Floats = NDArray[np.float64]

_ALWAYS = 1.0  # the duty of who does not take turns


class _Samples:
    """An array along consecutive channel samples, [R, K, C], read as far as it is asked for."""

    def __init__(self, read: Callable[[int, int], Floats]) -> None:
        self._read = read
        self.first = 0
        self._values: Floats | None = None

    @property
    def end(self) -> int:
        """One past the last sample that was read."""
        return self.first + (0 if self._values is None else self._values.shape[1])

    def at(self, first: int, num: int) -> Floats:
        """Return samples `first`, ..., and forget those before."""
        if self._values is None or not self.first <= first <= self.end:
            self.first, self._values = first, self._read(first, num)
        elif first + num > self.end:
            more = self._read(self.end, first + num - self.end)
            kept = self._values[:, first - self.first :]
            self.first, self._values = first, np.concatenate([kept, more], axis=1)
        offset = first - self.first
        return self._values[:, offset : offset + num]


class Signals:
    """What reaches the receivers of one flow, as far as it was looked at.

    Args:
        air: what links are like.
        flow: whose receivers.
    """

    def __init__(self, air: "Air", flow: Flow) -> None:
        self._air = air
        self._flow = flow
        self._own = _Samples(lambda first, num: air.gains(flow, flow.src, first, num))
        self._others: dict[int, _Samples] = {}

    @property
    def end(self) -> int:
        """One past the last sample of the flow's own channel that was read."""
        return self._own.end

    def sinr(self, first: int, num: int) -> Floats:
        """Return the SINR with all of the band at samples `first`, ..., [R, num, C]."""
        flow, air = self._flow, self._air
        own = self._own.at(first, num)
        if len(flow.receivers) == 1 and not flow.interferers:
            noise_w = flow.receivers[0].noise_w_per_hz * air.bandwidth_hz
            return np.asarray(own * (flow.power_w / noise_w))
        noise_w_per_hz = np.array([receiver.noise_w_per_hz for receiver in flow.receivers])
        disturbance_w = np.full((1, num, 1), 0.0) + noise_w_per_hz[:, None, None] * air.bandwidth_hz
        for src, power_w in air.interference_w(flow).items():
            disturbance_w += power_w * self._from(src).at(first, num)
        return np.asarray(flow.power_w * own / disturbance_w)

    def _from(self, src: int) -> _Samples:
        """Return the gains from another transmitter, averaged over the band."""
        if src not in self._others:

            def read(first: int, num: int) -> Floats:
                gains = self._air.gains(self._flow, src, first, num)
                return np.asarray(gains.mean(axis=2, keepdims=True))

            self._others[src] = _Samples(read)
        return self._others[src]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a flow has on its share, sample by sample.

    Attributes:
        snr: at each receiver, [R, K].
        rate_bps: [K].
        efficiency: of the modulation in use, bit/s/Hz, [K]; 0 where nothing is sent, and
            everywhere if losses do not depend on it.
        duty: fraction of the time in which the share is held, [K] or the same for all samples.
    """

    snr: Floats
    rate_bps: Floats
    efficiency: Floats
    duty: Floats | float


class Air:
    """What links are like.

    Args:
        world: gains.
        bandwidth_hz: band of one domain.
        rate: from SNR to bit/s.
        error: loss of one attempt.
        rule: how a domain's flows divide its band.
        combining: whether a receiver adds up the SNR of a packet's attempts (chase combining).
        num_blocks: resource blocks of the band; None for a band that can be cut anywhere.
        block_offsets_hz: their centres relative to the carrier, [C], of a frequency-selective
            channel; None for a flat one.
        has_interference: whether flows of other domains are heard.
        invariants: what to check, or None.
    """

    def __init__(
        self,
        world: World,
        bandwidth_hz: float,
        rate: Rate,
        error: PacketError,
        rule: SharingRule,
        *,
        combining: bool = False,
        num_blocks: int | None = None,
        block_offsets_hz: Floats | None = None,
        has_interference: bool = False,
        invariants: Invariants | None = None,
    ) -> None:
        self._world = world
        self.bandwidth_hz = bandwidth_hz
        self.rate = rate
        self.error = error
        self.rule = rule
        self.combining = combining
        self.invariants = invariants
        self._num_blocks = num_blocks
        self._block_offsets_hz = block_offsets_hz
        self._has_interference = has_interference
        self._by_number: dict[int, Division] = {}  # of rules that only count flows

    def gains(self, flow: Flow, src: int, first: int, num: int) -> Floats:
        """Return the gain from `src` to a flow's receivers at its samples, [R, num, C].

        It is 0 to itself.
        """
        interval_s = flow.sample_interval_s
        times_s = sample_times_s(first, num, interval_s, flow.start_s)
        if math.isfinite(interval_s):  # what is held for an interval is best read in its middle
            times_s = times_s + interval_s / 2.0
        read = []
        for receiver in flow.receivers:
            if receiver.device == src:  # what a device sends it cancels in what it receives
                num_blocks = 1 if self._block_offsets_hz is None else len(self._block_offsets_hz)
                read.append(np.zeros((num, num_blocks)))
            elif self._block_offsets_hz is None:
                gain = np.asarray(self._world.gain(src, receiver.device, times_s), float)
                read.append(gain[:, np.newaxis])
            else:
                read.append(
                    self._world.block_gain(src, receiver.device, times_s, self._block_offsets_hz)
                )
        return read[0][np.newaxis] if len(read) == 1 else np.stack(read)

    def interference_w(self, flow: Flow) -> dict[int, float]:
        """Return the power of each transmitter that disturbs a flow, averaged over its turns."""
        power_w: dict[int, float] = {}
        for other in flow.interferers:
            power_w[other.src] = power_w.get(other.src, 0.0) + other.power_w * other.duty
        return power_w

    def duty(self, num_flows: int) -> float:
        """Return the part of the time in which each of a domain's flows is on, on average.

        It is for rules with slots, which know no more in advance. Where a rule gives each of C
        blocks that fade by themselves to any of F flows, a flow has one or more with probability
        1 - (1 - 1/F)^C.
        """
        if self.rule.exclusive:
            num_fading = 1 if self._block_offsets_hz is None else len(self._block_offsets_hz)
            return 1.0 - (1.0 - 1.0 / num_flows) ** num_fading
        return 1.0 if self._num_blocks is None else min(1.0, self._num_blocks / num_flows)

    @property
    def one_at_a_time(self) -> bool:
        """Whether a domain's flows never radiate at the same time."""
        return self.rule.exclusive and self._block_offsets_hz is None

    def conditions(
        self,
        sinr: Floats,
        known: Floats,
        share: float | Floats,
        offset_db: float,
    ) -> Conditions:
        """Return what a flow has on its share.

        Args:
            sinr: with all of the band, [R, K, C].
            known: what the transmitter knows of it when it chooses the rate, [R, K, C].
            share: of the band, the same for all samples; or of each block, [K, C], or of the
                band by sample, [K, 1].
            offset_db: of the outer loop.
        """
        total, blocks = (share, None) if isinstance(share, float) else (share.mean(axis=1), share)
        if not (total > 0.0 if isinstance(total, float) else total.any()):
            return self._nothing(sinr)
        width, duty = self._when_on(total)
        snr = self._on_share(sinr, width, blocks)
        worst = self._worst(snr if known is sinr else self._on_share(known, width, blocks))
        rate_bps = self.rate.bps(worst, width * self.bandwidth_hz, width, offset_db)
        if blocks is not None:
            rate_bps = np.where(total > 0.0, rate_bps, 0.0)
        efficiency = self._efficiency(rate_bps, width * self.bandwidth_hz)
        if duty is not _ALWAYS:
            rate_bps = rate_bps * duty
        if self.invariants is not None and not (
            np.isfinite(rate_bps).all() and (rate_bps >= 0.0).all()
        ):
            raise InvariantError(f"rates must be finite and >= 0, got {rate_bps} at SNR {worst}")
        return Conditions(snr, rate_bps, efficiency, duty)

    def _when_on(self, share: float | Floats) -> tuple[float | Floats, float | Floats]:
        """Return what part of the band is held at once, and for what part of the time."""
        if self._num_blocks is None:
            return share, _ALWAYS
        block = 1.0 / self._num_blocks
        if isinstance(share, float):
            return (share, _ALWAYS) if share >= block else (block, share / block)
        if np.all((share >= block) | (share == 0.0)):
            return share, _ALWAYS
        width = np.where(share > 0.0, np.maximum(share, block), 0.0)
        return width, np.where(share > 0.0, np.minimum(share / block, 1.0), 0.0)

    def _efficiency(self, rate_bps: Floats, bandwidth_hz: float | Floats) -> Floats:
        if not self.error.depends_on_snr:
            return np.zeros(len(rate_bps))
        return self.rate.efficiency(rate_bps, bandwidth_hz)

    def _nothing(self, sinr: Floats) -> Conditions:
        num = sinr.shape[1]
        return Conditions(np.zeros(sinr.shape[:2]), np.zeros(num), np.zeros(num), 0.0)

    def _on_share(self, sinr: Floats, width: float | Floats, blocks: Floats | None) -> Floats:
        """Return the SNR [..., K] on a part of the band.

        Args:
            sinr: with all of the band, [..., K, C].
            width: of the part, relative to the band, [..., K]; nothing is sent where it is 0.
            blocks: shares of the resource blocks in it, [..., K, C]; None, or C = 1, for all.
        """
        if sinr.shape[-1] == 1:
            flat = sinr[..., 0]
            if isinstance(width, float):
                return flat if width == 1.0 else flat / width
            return np.divide(flat, width, out=np.zeros(flat.shape), where=width > 0.0)
        part = np.asarray(width)[..., np.newaxis]
        snr = np.divide(sinr, part, out=np.zeros(sinr.shape), where=part > 0.0)
        if blocks is None or blocks.shape[-1] == 1:
            return self.rate.effective_snr(snr, None)
        return self.rate.effective_snr(snr, blocks)

    @staticmethod
    def _worst(snr: Floats) -> Floats:
        """Return the SNR of the worst receiver, [K]."""
        return np.asarray(snr[0] if len(snr) == 1 else snr.min(axis=0))

    def loss(self, snr: Floats, packet_bits: float | Floats, efficiency: Floats) -> Floats:
        """Return the loss probability of attempts, shape of `snr`."""
        return self.error.probability(snr, packet_bits, efficiency)

    def divide(
        self,
        flows: Sequence[Flow],
        num_slots: int,
        known: Callable[[], Sequence[Floats]],
        offset_db: Sequence[float],
        remaining_bits: Callable[[], Floats],
        memory: Floats,
    ) -> Division:
        """Divide a domain's band; where that is for longer than a slot, set the flows' duties.

        Args:
            flows: F of them.
            num_slots: K.
            known: returns what each transmitter knows of its SINR with all of the band, F arrays
                [R, K, C].
            offset_db: of each flow's outer loop.
            remaining_bits: of each flow, [F].
            memory: the rule's, [F].

        Returns:
            Shares [F, K, 1] or [F, K, C].
        """
        if len(flows) in self._by_number:
            return self._by_number[len(flows)]
        offsets_db = np.array(offset_db)[:, np.newaxis] if any(offset_db) else 0.0

        seen: list[Sequence[Floats]] = []
        worst: list[Floats] = []

        def at_receivers() -> Sequence[Floats]:
            if not seen:
                seen.append(known())
            return seen[0]

        def snr() -> Floats:
            if not worst:
                worst.append(np.stack([each.min(axis=0) for each in at_receivers()]))
            return worst[0]

        def on_share(width: Floats, shares: Floats) -> Floats:
            several = any(len(flow.receivers) > 1 for flow in flows)
            if not several or self._block_offsets_hz is None:
                return self._on_share(snr(), width, shares)
            # Which receiver is the worst depends on the blocks that are held.
            ends = zip(at_receivers(), width, shares, strict=True)
            return np.stack([self._worst(self._on_share(*each)) for each in ends])

        def rate_bps(shares: Floats) -> Floats:
            total = shares.mean(axis=2)  # [F, K]
            width, duty = self._when_on(total)
            on = np.asarray(width)
            rates = self.rate.bps(on_share(on, shares), on * self.bandwidth_hz, on, offsets_db)
            return np.where(total > 0.0, rates * duty, 0.0)

        division = self.rule.divide(
            Demand(
                num_flows=len(flows),
                num_slots=num_slots,
                weight=np.array([flow.weight for flow in flows]),
                snr=snr,
                rate_bps=rate_bps,
                remaining_bits=remaining_bits,
                memory=memory,
            )
        )
        shares = division.shares
        if self._num_blocks is not None and shares.shape[2] == 1:
            blocks = whole_blocks(shares, self._num_blocks)
            if self._block_offsets_hz is None:
                shares = blocks[:, :, np.newaxis] / self._num_blocks
            else:
                shares = deal(blocks, self._num_blocks)
        if self.invariants is not None:
            self.invariants.shares(shares, len(flows))
        if self._has_interference and self.rule.slot_s is None:
            for flow, share in zip(flows, shares, strict=True):
                flow.duty = self._mean_duty(float(share.mean()))
        division = Division(shares, division.memory)
        if self.rule.by_number and not self._has_interference:
            self._by_number[len(flows)] = division
        return division

    def _mean_duty(self, share: float) -> float:
        """Return the part of the time in which a share of the band is held."""
        if share <= 0.0:
            return 0.0
        _, duty = self._when_on(share)
        return float(duty)
