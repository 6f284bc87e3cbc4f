"""The network: payloads in, deliveries out; who is on the air now, and on how much of the band.

A transfer starts at once. Its packets' attempts are sent back to back at the rate of its share of
a domain's band; the share changes as flows of the domain start and end. What arrives does so a
propagation and processing delay after it left the air. A transfer ends when its last packet has
arrived (`delivered`), or would have (`partial`, with packets lost for good), at its deadline
(`expired`), or when it is taken off the air (`aborted`).
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import simpy
from numpy.typing import ArrayLike, NDArray

from cosim.boundary import Delivery, Outcome, Payload
from cosim.radio.arq import attempts_allowed
from cosim.radio.budget import noise_density_w_per_hz
from cosim.radio.packets import packetise, segment_bytes
from cosim.radio.sampling import tolerance_s
from cosim.rng import Draws
from cosim.scenario.tree import Link, Radio, Spectrum, Transport
from cosim.sim.check import Invariants
from cosim.sim.engines.band import Band
from cosim.sim.engines.base import Airing, Engine, Flow, Medium, Timer, Uniforms
from cosim.sim.engines.packet_train import PacketTrain
from cosim.sim.engines.per_packet import PerPacket
from cosim.sim.records import FlowRecord, PacketRecord
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.world import World

_ENGINES: dict[str, type[Engine]] = {"packet_train": PacketTrain, "per_packet": PerPacket}


class Transfer(simpy.Event):
    """The event of one send; it triggers with a `Delivery` and never fails.

    Attributes:
        flow: number of the transfer.
    """

    def __init__(self, env: simpy.Environment, flow: int) -> None:
        super().__init__(env)
        self.flow = flow


@dataclass(slots=True, eq=False)
class _Open:
    """A transfer that has not ended; `airing` once it has left the air."""

    flow: Flow
    transfer: Transfer
    airing: Airing | None = None


class Network:
    """All transfers of a run.

    Args:
        env: the event loop.
        world: distances and channel gains.
        radios: each device's radio, in device order.
        spectrum: the band, its domains and their sharing rule.
        link: rate and packet error.
        transport: packets, retries, deadline, delays, engine.
        draws: the scenario's random numbers. Losses are addressed by source, destination and how
            many transfers went before between them, so that methods see the same losses.
        on_flow: called with the record of each transfer that ends.
        on_packets: called with the records of its packets, before `on_flow`; None records none.
        on_air: called with a device and the change of its transmit power in watts.
        check: whether to check invariants while running.

    Raises:
        ValueError: the header leaves no room in the MTU.
    """

    def __init__(
        self,
        env: simpy.Environment,
        world: World,
        radios: Sequence[Radio],
        spectrum: Spectrum,
        link: Link,
        transport: Transport,
        draws: Draws,
        *,
        on_flow: Callable[[FlowRecord], None],
        on_packets: Callable[[PacketRecord], None] | None = None,
        on_air: Callable[[int, float], None] | None = None,
        check: bool = False,
    ) -> None:
        self._env = env
        self._world = world
        self._spectrum = spectrum
        self._transport = transport
        self._draws = draws
        self._on_flow = on_flow
        self._on_packets = on_packets
        self._on_air = on_air
        self._invariants = Invariants() if check else None
        self._segment_bytes = segment_bytes(transport.mtu_bytes, transport.header_bytes)
        self._max_attempts = attempts_allowed(transport.reliability, transport.max_attempts)
        self._noise_w_per_hz = noise_density_w_per_hz(
            spectrum.noise_density_dbm_per_hz, [radio.noise_figure_db for radio in radios]
        )
        medium = Medium(world.gain, spectrum.bandwidth_hz, link.rate, link.error, check)
        engine = _ENGINES[transport.engine]
        self._engine = engine(env, medium, self._aired, on_packets is not None)
        self._band = Band(env, self._engine, spectrum.rule, spectrum.bandwidth_hz, self._invariants)
        self._cluster = np.arange(len(radios))
        self._num_flows = 0
        self._num_sent: dict[tuple[int, int], int] = {}
        self._open: dict[int, _Open] = {}
        self._deadlines: deque[Flow] = deque()  # one deadline for all, so in the order of starts
        self._deadline = Timer(env, self._expire)

    @property
    def num_devices(self) -> int:
        """Number of devices."""
        return len(self._noise_w_per_hz)

    @property
    def in_flight(self) -> tuple[int, ...]:
        """Numbers of the transfers that have not ended, ascending."""
        return tuple(self._open)

    def set_clusters(self, cluster: ArrayLike) -> None:
        """Say which cluster each device is in, for flows that start from now on.

        With `per_cluster` sharing a flow shares the band of its source's cluster, and keeps the
        domain that it started in. Until this is called every device is a cluster of its own, as
        is a device of cluster -1.

        Args:
            cluster: cluster numbers, [num_devices].

        Raises:
            ValueError: not one number for each device.
        """
        numbers = np.asarray(cluster, dtype=np.int64)
        if numbers.shape != (self.num_devices,):
            raise ValueError(
                f"expected a cluster for each of {self.num_devices} devices, "
                f"got an array of shape {numbers.shape}"
            )
        self._cluster = np.where(numbers >= 0, numbers, -1 - np.arange(self.num_devices))

    def send(self, payload: Payload, power_w: float) -> Transfer:
        """Start a transfer now.

        Args:
            payload: what to send, and from whom to whom.
            power_w: transmit power, above 0.

        Returns:
            An event that triggers with the `Delivery`, whatever becomes of the transfer.

        Raises:
            ValueError: an unknown device, a link of a device to itself, a power that is not
                positive and finite, or a payload cut for another MTU.
        """
        self._validate(payload, power_w)
        env, transport = self._env, self._transport
        src, dst = payload.src, payload.dst
        now_s = env.now
        delay_s = transport.processing_s
        if transport.propagation:
            delay_s += float(self._world.distance_m(src, dst, now_s)) / SPEED_OF_LIGHT_MPS
        earlier = self._num_sent.get((src, dst), 0)
        self._num_sent[src, dst] = earlier + 1
        flow = Flow(
            number=self._num_flows,
            payload=payload,
            packets=packetise(payload.num_bytes, self._segment_bytes, transport.header_bytes),
            power_w=power_w,
            start_s=now_s,
            deadline_s=now_s + transport.deadline_s,
            delay_s=delay_s,
            domain=self._domain(src),
            max_attempts=self._max_attempts,
            noise_w_per_hz=float(self._noise_w_per_hz[dst]),
            sample_interval_s=float(self._world.sample_interval_s(src, dst)),
            uniforms=Uniforms(
                lambda: self._draws.child("transfer", earlier).generator("packet_loss", src, dst)
            ),
        )
        self._num_flows += 1
        transfer = Transfer(env, flow.number)
        opened = _Open(flow, transfer)
        self._open[flow.number] = opened
        if self._invariants is not None:
            self._invariants.time(now_s)
            self._invariants.opened(flow.number)
        self._await_deadline(flow)
        if flow.packets.num == 0:
            self._leave_air(opened, Airing.nothing(flow.packets, now_s))
            return transfer
        self._band.join(flow)
        if self._on_air is not None:
            self._on_air(src, power_w)
        return transfer

    def abort(self, transfer: Transfer) -> None:
        """End a transfer now, unless it has ended."""
        opened = self._open.get(transfer.flow)
        if opened is not None:
            self._cut(opened, "aborted", self._env.now)

    def abort_device(self, device: int) -> None:
        """End all transfers from and to a device now."""
        for opened in list(self._open.values()):
            if device in (opened.flow.payload.src, opened.flow.payload.dst):
                self._cut(opened, "aborted", self._env.now)

    def finish(self) -> None:
        """End all transfers that are in flight, at the end of a run."""
        for opened in list(self._open.values()):
            self._cut(opened, "aborted", self._env.now, final=True)
        self._deadlines.clear()
        self._deadline.cancel()
        if self._invariants is not None:
            self._invariants.finished()

    def _validate(self, payload: Payload, power_w: float) -> None:
        for name, device in (("src", payload.src), ("dst", payload.dst)):
            if not 0 <= device < self.num_devices:
                raise ValueError(
                    f"expected {name} to be a device from 0 to {self.num_devices - 1}, got {device}"
                )
        if payload.src == payload.dst:
            raise ValueError(f"expected two devices, got a link of {payload.src} to itself")
        if not 0.0 < power_w < math.inf:
            raise ValueError(f"expected a transmit power above 0 W and finite, got {power_w} W")
        if payload.num_bytes < 0:
            raise ValueError(f"expected a payload of at least 0 bytes, got {payload.num_bytes}")
        if payload.segment_bytes != self._segment_bytes:
            raise ValueError(
                f"expected segments of {self._segment_bytes} bytes (transport.mtu less header), "
                f"got {payload.segment_bytes}"
            )

    def _domain(self, src: int) -> int:
        return src if self._spectrum.domain == "per_transmitter" else int(self._cluster[src])

    def _aired(self, flow: Flow, airing: Airing) -> None:
        """The engine is done with a flow: its last attempt has ended."""
        self._release(flow)
        self._leave_air(self._open[flow.number], airing)

    def _release(self, flow: Flow) -> None:
        """Give a flow's share and power back."""
        self._band.leave(flow)
        if self._on_air is not None:
            self._on_air(flow.payload.src, -flow.power_w)

    def _leave_air(self, opened: _Open, airing: Airing) -> None:
        """Wait until what was sent has arrived."""
        opened.airing = airing
        wait_s = airing.end_s + opened.flow.delay_s - self._env.now
        if wait_s > 0.0:
            arrival = self._env.timeout(wait_s)
            arrival.callbacks = [lambda _: self._arrive(opened)]
        else:
            self._arrive(opened)

    def _arrive(self, opened: _Open) -> None:
        """All that could arrive has."""
        if opened.flow.number not in self._open:
            return
        assert opened.airing is not None
        arrived = opened.airing.delivered_by(opened.airing.end_s)
        outcome: Outcome = "delivered" if arrived.all() else "partial"
        self._close(opened, outcome, opened.airing.end_s + opened.flow.delay_s, arrived)

    def _expire(self, at_s: float) -> None:
        """The oldest deadline has come; it may be that of a transfer long ended."""
        while self._deadlines and self._deadlines[0].deadline_s <= at_s:
            opened = self._open.get(self._deadlines.popleft().number)
            if opened is not None:
                self._cut(opened, "expired", at_s)
        self._await_deadline()

    def _await_deadline(self, newest: Flow | None = None) -> None:
        """See to it that the oldest deadline of an open transfer does not pass unseen."""
        while self._deadlines and self._deadlines[0].number not in self._open:
            self._deadlines.popleft()
        if newest is not None:
            self._deadlines.append(newest)
        if self._deadlines and not self._deadline.pending:
            self._deadline.set(self._deadlines[0].deadline_s)

    def _cut(self, opened: _Open, outcome: Outcome, now_s: float, final: bool = False) -> None:
        """End a transfer now, unless at this very instant it ends by itself."""
        flow = opened.flow
        if opened.airing is None:
            airing = self._engine.cut(flow)
            self._release(flow)
            opened.airing = airing
            if airing.complete:
                self._leave_air(opened, airing)
        airing = opened.airing
        if flow.number not in self._open:
            return
        arrival_s = airing.end_s + flow.delay_s
        if airing.complete and arrival_s <= now_s + tolerance_s(now_s):
            if final:
                self._arrive(opened)
            return
        self._close(opened, outcome, now_s, airing.delivered_by(now_s - flow.delay_s))

    def _close(
        self, opened: _Open, outcome: Outcome, end_s: float, arrived: NDArray[np.bool_]
    ) -> None:
        flow, airing, payload = opened.flow, opened.airing, opened.flow.payload
        assert airing is not None
        del self._open[flow.number]
        if self._invariants is not None:
            self._check(flow, airing, outcome, end_s)
        if self._on_packets is not None:
            times = airing.times()
            num = len(times.start_s)
            self._on_packets(
                PacketRecord(
                    flow=flow.number,
                    packet=np.arange(num),
                    start_s=times.start_s,
                    end_s=times.end_s,
                    num_attempts=times.num_attempts,
                    delivered=arrived[:num],
                )
            )
        self._on_flow(
            FlowRecord(
                flow=flow.number,
                round=payload.round,
                kind=payload.kind,
                src=payload.src,
                dst=payload.dst,
                start_s=flow.start_s,
                end_s=end_s,
                payload_bits=8.0 * payload.num_bytes,
                num_packets=flow.packets.num,
                num_attempts=airing.num_attempts,
                num_lost=flow.packets.num - int(np.count_nonzero(arrived)),
                outcome=outcome,
                energy_j=flow.power_w * (airing.end_s - flow.start_s),
                air_bits=airing.served_bits,
                delivered_bits=8.0 * _arrived_bytes(payload, arrived),
            )
        )
        opened.transfer.succeed(Delivery(payload, flow.start_s, end_s, outcome, arrived))

    def _check(self, flow: Flow, airing: Airing, outcome: Outcome, end_s: float) -> None:
        assert self._invariants is not None
        self._invariants.time(self._env.now)
        self._invariants.closed(flow.number, outcome)
        self._invariants.ordered(flow.start_s, airing.end_s, end_s)
        through = airing.delivered_by(airing.end_s)
        self._invariants.bits(
            served=airing.served_bits,
            delivered=float(flow.packets.bits()[through].sum()),
            lost=airing.lost_bits,
            in_flight=airing.in_flight_bits,
        )


def _arrived_bytes(payload: Payload, arrived: NDArray[np.bool_]) -> int:
    """Return the application bytes of the packets that arrived."""
    if not arrived.any():
        return 0
    short = payload.num_packets * payload.segment_bytes - payload.num_bytes  # of the last packet
    return int(np.count_nonzero(arrived)) * payload.segment_bytes - short * int(arrived[-1])
