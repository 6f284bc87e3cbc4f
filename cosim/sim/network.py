"""The network: payloads in, deliveries out; who is on the air now, and on how much of the band.

A transfer goes on the air at once, unless its device's queue holds it back. Its packets' attempts
are sent back to back at the rate of its share of a domain's band; the share changes as flows of the
domain start and end. What arrives does so a propagation and processing delay after it left the air.
A transfer ends when its last packet has arrived (`delivered`), or would have (`partial`, with
packets lost for good), at its deadline (`expired`), or when it is taken off the air or finds its
queue full (`aborted`).
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

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
from cosim.sim.admission import Admission, Request
from cosim.sim.check import Invariants
from cosim.sim.domains import Domains
from cosim.sim.engines.air import Air
from cosim.sim.engines.band import Band
from cosim.sim.engines.base import Engine, Timer
from cosim.sim.engines.flow import Airing, Flow, Receiver, Uniforms
from cosim.sim.engines.packet_train import PacketTrain
from cosim.sim.engines.per_packet import PerPacket
from cosim.sim.records import FlowRecord, PacketRecord
from cosim.sim.transfers import Sending, Transfer, check_payloads
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.world import World

_ENGINES: dict[str, type[Engine]] = {"packet_train": PacketTrain, "per_packet": PerPacket}


class Network:
    """All transfers of a run.

    Args:
        env: the event loop.
        world: distances and channel gains.
        radios: each device's radio, in device order.
        spectrum: the band, its domains and their sharing rule.
        link: rate and packet error.
        transport: packets, retries, deadline, delays, queues, engine.
        draws: the scenario's random numbers. Losses are addressed by source, destination and how
            many transfers went before between them, so that methods see the same losses.
        on_flow: called with the record of each transfer that ends.
        on_packets: called with the records of its packets, before `on_flow`; None records none.
        on_air: called with a device and the change of its radiated power in watts.
        on_receive: called with a device and the change of the number of flows that it receives.
        is_base: whether each device is a base station, [num_devices]; None for no base stations.
        reach_m: how far co-channel interference reaches.
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
        on_receive: Callable[[int, int], None] | None = None,
        is_base: Sequence[bool] | None = None,
        reach_m: float = math.inf,
        check: bool = False,
    ) -> None:
        self._env = env
        self._world = world
        self._radios = radios
        self._rule = spectrum.rule
        self._rate = link.rate
        self._transport = transport
        self._draws = draws
        self._on_flow = on_flow
        self._on_packets = on_packets
        self._on_air = on_air
        self._on_receive = on_receive
        self._invariants = Invariants() if check else None
        self._segment_bytes = segment_bytes(transport.mtu_bytes, transport.header_bytes)
        self._max_attempts = attempts_allowed(transport.reliability, transport.max_attempts)
        self._noise_w_per_hz = noise_density_w_per_hz(
            spectrum.noise_density_dbm_per_hz, [radio.noise_figure_db for radio in radios]
        )
        bandwidth_hz, offsets_hz = spectrum.bandwidth_hz, None
        if spectrum.resource_blocks is not None:
            bandwidth_hz, offsets_hz = _blocks(spectrum)
        air = Air(
            world,
            bandwidth_hz,
            link.rate,
            link.error,
            spectrum.rule,
            combining=link.combining == "chase",
            num_blocks=None if offsets_hz is None else len(offsets_hz),
            block_offsets_hz=offsets_hz if world.is_selective else None,
            invariants=self._invariants,
        )
        engine = _ENGINES[transport.engine]
        self._engine = engine(env, air, self._aired, on_packets is not None)
        self._band = Band(
            env,
            self._engine,
            air,
            reach_m=reach_m if spectrum.interference == "co_channel" else None,
            distance_m=world.distance_m,
            invariants=self._invariants,
        )
        self._domains = Domains(spectrum.domain, world, len(radios), is_base)
        self._admission = Admission(
            len(radios),
            half_duplex=spectrum.duplex == "half",
            parallel=transport.parallel,
            limit_bytes=transport.queue_bytes,
        )
        self._num_transfers = 0
        self._num_sent: dict[tuple[int, int], int] = {}
        self._open: dict[int, tuple[Sending, int]] = {}  # by transfer: sending, receiver's number
        self._sendings: dict[Flow, Sending] = {}  # that are on the air
        self._requests: dict[Sending, Request] = {}  # that are on the air or wait for it
        self._by_request: dict[Request, Sending] = {}
        self._deadlines: deque[Sending] = deque()  # one deadline for all: in the order of starts
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
        self._domains.set_clusters(cluster)

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
        return self.multicast((payload,), power_w)[0]

    def multicast(self, payloads: Sequence[Payload], power_w: float) -> tuple[Transfer, ...]:
        """Start one transmission to several receivers now.

        Its rate is that of the worst receiver, and a packet is sent again until all have it.

        Args:
            payloads: the same bytes for each receiver, all from one device.
            power_w: transmit power, above 0.

        Returns:
            An event for each receiver, as `send` returns.

        Raises:
            ValueError: as `send`; or no payloads, payloads of different bytes or from different
                devices, or a receiver twice.
        """
        check_payloads(payloads, power_w, self.num_devices, self._segment_bytes)
        env, transport = self._env, self._transport
        src, now_s = payloads[0].src, env.now
        receivers = [payload.dst for payload in payloads]
        delay_s = transport.processing_s
        if transport.propagation:
            distance_m = self._world.distance_m(src, receivers, now_s)
            delay_s += float(np.max(distance_m)) / SPEED_OF_LIGHT_MPS
        earlier = []
        for dst in receivers:
            earlier.append(self._num_sent.get((src, dst), 0))
            self._num_sent[src, dst] = earlier[-1] + 1
        first = self._num_transfers
        self._num_transfers += len(payloads)
        transfers = [Transfer(env, first + number) for number in range(len(payloads))]
        sending = Sending(
            payloads,
            transfers,
            packetise(payloads[0].num_bytes, self._segment_bytes, transport.header_bytes),
            power_w,
            now_s,
            now_s + transport.deadline_s,
            delay_s,
            earlier,
        )
        for number, transfer in enumerate(transfers):
            self._open[transfer.number] = (sending, number)
            if self._invariants is not None:
                self._invariants.time(now_s)
                self._invariants.opened(transfer.number)
        self._await_deadline(sending)
        if sending.packets.num == 0:
            sending.flow = self._flow(sending)
            sending.airing = Airing.nothing(sending.flow, now_s)
            self._await_arrival(sending)
        elif not self._admission.has_room(self._request(sending)):
            self._close_all(sending, "aborted", now_s)
        else:
            self._ask(sending)
        return tuple(transfers)

    def abort(self, transfer: Transfer) -> None:
        """End a transfer now, unless it has ended; one of a multicast leaves the others be."""
        if transfer.number in self._open:
            self._drop(*self._open[transfer.number])

    def abort_device(self, device: int) -> None:
        """End all transfers from and to a device now."""
        for number, (sending, receiver) in list(self._open.items()):
            if number in self._open and device in (sending.src, sending.payloads[receiver].dst):
                self._drop(sending, receiver)

    def finish(self) -> None:
        """End all transfers that are in flight, at the end of a run."""
        for number, (sending, _) in list(self._open.items()):
            if number in self._open:
                self._cut(sending, "aborted", self._env.now, final=True)
        self._deadlines.clear()
        self._deadline.cancel()
        if self._invariants is not None:
            self._invariants.finished()

    # On the air, and waiting for it

    def _request(self, sending: Sending) -> Request:
        receivers = [payload.dst for payload in sending.payloads]
        number = sending.transfers[0].number
        return Request(number, sending.src, receivers, sending.num_bytes)

    def _ask(self, sending: Sending) -> None:
        """Put a sending's round on the air, now or when its queue lets it."""
        if self._admission.is_open:
            self._go(sending)
            return
        request = self._request(sending)
        self._requests[sending], self._by_request[request] = request, sending
        if self._admission.ask(request):
            self._go(sending)

    def _go(self, sending: Sending) -> None:
        sending.flow = self._flow(sending)
        sending.is_on_air = True
        self._sendings[sending.flow] = sending
        self._band.join(sending.flow)
        self._tell(sending.flow, 1)

    def _flow(self, sending: Sending) -> Flow:
        """Return the flow of a sending's present round, from now on."""
        now_s, src = self._env.now, sending.src
        interval_s = self._rule.slot_s
        receivers = [payload.dst for payload in sending.payloads]
        if interval_s is None:
            intervals_s = [self._world.sample_interval_s(src, dst) for dst in receivers]
            interval_s = min(*intervals_s, self._rate.report_interval_s())
        rounds = self._transport.ack_delay_s > 0.0
        return Flow(
            number=sending.transfers[0].number,
            src=src,
            receivers=tuple(
                Receiver(dst, float(self._noise_w_per_hz[dst]), self._uniforms(sending, number))
                for number, dst in enumerate(receivers)
            ),
            packets=sending.round_packets(),
            power_w=sending.power_w,
            start_s=now_s,
            deadline_s=sending.deadline_s,
            delay_s=sending.delay_s,
            domain=self._domains.of(src, receivers, now_s),
            max_attempts=1 if rounds else self._max_attempts,
            sample_interval_s=interval_s,
            weight=self._radios[src].sharing_weight,
            held_snr=sending.held_snr(),
        )

    def _uniforms(self, sending: Sending, receiver: int) -> Uniforms:
        """Return what decides over the attempts of a sending's present round at a receiver."""
        src, dst = sending.src, sending.payloads[receiver].dst
        draws, purpose = self._draws.child("transfer", sending.earlier[receiver]), "packet_loss"
        if sending.round:
            purpose = f"packet_loss, round {sending.round}"
        return Uniforms(partial(draws.generator, purpose, src, dst))

    def _tell(self, flow: Flow, change: int) -> None:
        """Tell who keeps the books of energy that a flow goes on or leaves the air."""
        if self._on_air is not None:
            self._on_air(flow.src, change * flow.power_w)
        if self._on_receive is not None:
            for receiver in flow.receivers:
                self._on_receive(receiver.device, change)

    def _release(self, sending: Sending) -> None:
        """Give a sending's share, power and place back."""
        assert sending.flow is not None
        sending.is_on_air = False
        del self._sendings[sending.flow]
        self._band.leave(sending.flow)
        self._tell(sending.flow, -1)
        request = self._requests.pop(sending, None)
        if request is not None:
            del self._by_request[request]
            for admitted in self._admission.release(request):
                self._go(self._by_request[admitted])

    # From the end of the last attempt to the end of the transfer

    def _aired(self, flow: Flow, airing: Airing) -> None:
        """The engine is done with a flow: its last attempt has ended."""
        sending = self._sendings[flow]
        sending.airing = airing
        self._release(sending)
        if self._has_another_round(sending):
            wait_s = airing.end_s + self._transport.ack_delay_s - self._env.now
            acknowledged = self._env.timeout(max(wait_s, 0.0))
            acknowledged.callbacks = [lambda _: self._next_round(sending)]
        else:
            self._await_arrival(sending)

    def _has_another_round(self, sending: Sending) -> bool:
        if self._transport.ack_delay_s == 0.0 or sending.round + 1 >= self._max_attempts:
            return False
        return sending.lacks()

    def _next_round(self, sending: Sending) -> None:
        """The acknowledgement is there: send again what is lacked."""
        if all(sending.is_closed):
            return
        self._check_airing(sending)
        sending.next_round(record=self._on_packets is not None)
        self._ask(sending)

    def _await_arrival(self, sending: Sending) -> None:
        """Wait until what was sent has arrived."""
        assert sending.airing is not None
        wait_s = sending.airing.end_s + sending.delay_s - self._env.now
        if wait_s > 0.0:
            arrival = self._env.timeout(wait_s)
            arrival.callbacks = [lambda _: self._arrive(sending)]
        else:
            self._arrive(sending)

    def _arrive(self, sending: Sending) -> None:
        """All that could arrive has."""
        if all(sending.is_closed):
            return
        assert sending.airing is not None
        end_s = sending.airing.end_s
        self._close_all(sending, "delivered", end_s + sending.delay_s, end_s)

    def _expire(self, at_s: float) -> None:
        """The oldest deadline has come; it may be that of a transfer long ended."""
        while self._deadlines and self._deadlines[0].deadline_s <= at_s:
            sending = self._deadlines.popleft()
            if not all(sending.is_closed):
                self._cut(sending, "expired", at_s)
        self._await_deadline()

    def _await_deadline(self, newest: Sending | None = None) -> None:
        """See to it that the oldest deadline of an open transfer does not pass unseen."""
        while self._deadlines and all(self._deadlines[0].is_closed):
            self._deadlines.popleft()
        if newest is not None:
            self._deadlines.append(newest)
        if self._deadlines and not self._deadline.pending:
            self._deadline.set(self._deadlines[0].deadline_s)

    def _drop(self, sending: Sending, receiver: int) -> None:
        """End one receiver's transfer now; the last one takes the flow off the air."""
        others = [closed for number, closed in enumerate(sending.is_closed) if number != receiver]
        if all(others):
            self._cut(sending, "aborted", self._env.now)
        else:
            arrived = sending.has_by(self._env.now)[receiver]
            self._close(sending, receiver, "aborted", self._env.now, arrived)

    def _cut(self, sending: Sending, outcome: Outcome, now_s: float, final: bool = False) -> None:
        """End a sending now, unless at this very instant it ends by itself."""
        if sending.is_on_air:
            assert sending.flow is not None
            sending.airing = self._engine.cut(sending.flow)
            self._release(sending)
            if sending.airing.complete and not self._has_another_round(sending):
                self._await_arrival(sending)
        elif sending in self._requests:
            request = self._requests.pop(sending)
            del self._by_request[request]
            self._admission.withdraw(request)
        if all(sending.is_closed):
            return
        if self._arrives_by(sending, now_s + tolerance_s(now_s)):
            if final:
                self._arrive(sending)
            return
        self._close_all(sending, outcome, now_s, now_s - sending.delay_s)

    def _arrives_by(self, sending: Sending, t_s: float) -> bool:
        """Return whether a sending ends by itself by then."""
        airing = sending.airing
        if airing is None or not airing.complete or self._has_another_round(sending):
            return False
        return airing.end_s + sending.delay_s <= t_s

    def _close_all(
        self, sending: Sending, outcome: Outcome, end_s: float, on_air_by_s: float | None = None
    ) -> None:
        """End the transfers of all receivers that are still open.

        Args:
            sending: whose.
            outcome: what became of it; `delivered` is `partial` for whom a packet lacks.
            end_s: when.
            on_air_by_s: when what counts as arrived had left the air; None if nothing was sent.
        """
        arrived = sending.has_by(end_s if on_air_by_s is None else on_air_by_s)
        if sending.airing is not None:
            self._check_airing(sending)
        for receiver, closed in enumerate(tuple(sending.is_closed)):
            if not closed:
                partial_ = outcome == "delivered" and not arrived[receiver].all()
                self._close(
                    sending, receiver, "partial" if partial_ else outcome, end_s, arrived[receiver]
                )

    def _close(
        self,
        sending: Sending,
        receiver: int,
        outcome: Outcome,
        end_s: float,
        arrived: NDArray[np.bool_],
    ) -> None:
        transfer, payload = sending.transfers[receiver], sending.payloads[receiver]
        del self._open[transfer.number]
        sending.is_closed[receiver] = True
        if self._invariants is not None:
            self._invariants.time(self._env.now)
            self._invariants.closed(transfer.number, outcome)
            self._invariants.ordered(sending.start_s, end_s)
        if self._on_packets is not None:
            self._on_packets(sending.packet_record(receiver, arrived))
        efficiency = self._radios[sending.src].amplifier_efficiency
        self._on_flow(sending.flow_record(receiver, arrived, outcome, end_s, efficiency))
        transfer.succeed(Delivery(payload, sending.start_s, end_s, outcome, arrived))

    def _check_airing(self, sending: Sending) -> None:
        """Check the bits of a round that has left the air."""
        flow, airing = sending.flow, sending.airing
        if self._invariants is None or flow is None or airing is None:
            return
        self._invariants.ordered(flow.start_s, airing.end_s, self._env.now)
        through = airing.delivered_by(airing.end_s).all(axis=0)
        self._invariants.bits(
            served=airing.served_bits,
            delivered=float(flow.packets.bits()[through].sum()),
            lost=airing.lost_bits,
            in_flight=airing.in_flight_bits,
        )


def _blocks(spectrum: Spectrum) -> tuple[float, NDArray[np.float64]]:
    """Return the bandwidth of a spectrum's resource blocks, and the offsets of their centres."""
    from cosim.radio.resource_blocks import num_resource_blocks, offsets_hz

    blocks = spectrum.resource_blocks
    num = blocks.count or num_resource_blocks(spectrum.bandwidth_hz, blocks.spacing_hz)
    return 12 * num * blocks.spacing_hz, offsets_hz(num, blocks.spacing_hz)
