"""The network: payloads in, deliveries out; the life of a transfer from its start to its end.

A transfer goes on the air at once, unless its device's queue holds it back (`medium`). Its packets'
attempts are sent back to back at the rate of its share of a domain's band. What arrives does so a
propagation and processing delay after it left the air; what a block acknowledgement says is lacking
goes out again. A transfer ends when its last packet has arrived (`delivered`), or would have
(`partial`, with packets lost for good), at its deadline (`expired`), when it is taken off the air
(`aborted`), or at once where its queue is full (`dropped`).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import simpy
from numpy.typing import ArrayLike, NDArray

from cosim.boundary import Delivery, Outcome, Payload
from cosim.radio.arq import attempts_allowed
from cosim.radio.packets import packetise, segment_bytes
from cosim.radio.sampling import tolerance_s
from cosim.rng import Draws
from cosim.scenario.tree import Link, Radio, Spectrum, Transport
from cosim.sim.check import Invariants
from cosim.sim.deadlines import Deadlines
from cosim.sim.engines.flow import Airing
from cosim.sim.medium import Medium
from cosim.sim.records import FlowRecord, PacketRecord
from cosim.sim.transfers import Sending, Transfer, check_payloads
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.world import World


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
        on_transmit: called with a device and the change of the number of flows that it sends.
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
        on_transmit: Callable[[int, int], None] | None = None,
        on_receive: Callable[[int, int], None] | None = None,
        is_base: Sequence[bool] | None = None,
        reach_m: float = math.inf,
        check: bool = False,
    ) -> None:
        self._env = env
        self._world = world
        self._radios = radios
        self._transport = transport
        self._on_flow = on_flow
        self._on_packets = on_packets
        self._invariants = Invariants() if check else None
        self._segment_bytes = segment_bytes(transport.mtu_bytes, transport.header_bytes)
        attempts = attempts_allowed(transport.reliability, transport.max_attempts)
        self._num_rounds = attempts if transport.ack_delay_s > 0.0 else 1
        self._medium = Medium(
            env,
            world,
            radios,
            spectrum,
            link,
            transport,
            draws,
            aired=self._aired,
            dropped=self._dropped,
            record=on_packets is not None,
            on_transmit=on_transmit,
            on_receive=on_receive,
            is_base=is_base,
            reach_m=reach_m,
            invariants=self._invariants,
        )
        self._deadlines = Deadlines(env, lambda sending, at_s: self._cut(sending, "expired", at_s))
        self._num_transfers = self._num_aborted = 0
        self._num_sent: dict[tuple[int, int], int] = {}
        self._open: dict[int, tuple[Sending, int]] = {}  # by transfer: sending, receiver's number

    @property
    def num_devices(self) -> int:
        """Number of devices."""
        return len(self._radios)

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
        self._medium.set_clusters(cluster)

    def domain(self, src: int, receivers: Sequence[int]) -> int:
        """Return whose band a flow would share that starts now."""
        return self._medium.domain(src, receivers)

    def send(self, payload: Payload, power_w: float, weight: float | None = None) -> Transfer:
        """Start a transfer now.

        Args:
            payload: what to send, and from whom to whom.
            power_w: transmit power, above 0; a device whose flows want more than its greatest
                power together gives each the same fraction of what it wants.
            weight: for sharing rules with weights, above 0; None for the radio's `sharing_weight`.

        Returns:
            An event that triggers with the `Delivery`, whatever becomes of the transfer.

        Raises:
            ValueError: an unknown device, a link of a device to itself, a power that is not
                positive and finite, or a payload cut for another MTU.
        """
        return self.multicast((payload,), power_w, weight)[0]

    def multicast(
        self, payloads: Sequence[Payload], power_w: float, weight: float | None = None
    ) -> tuple[Transfer, ...]:
        """Start one transmission to several receivers now.

        Its rate is that of the worst receiver, and a packet is sent again until all have it, so
        that the transfers of all receivers end together.

        Args:
            payloads: the same bytes for each receiver, all from one device.
            power_w: transmit power, above 0; a device whose flows want more than its greatest
                power together gives each the same fraction of what it wants.
            weight: for sharing rules with weights, above 0; None for the radio's `sharing_weight`.

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
            # One by one: of two whole numbers it is found without arrays.
            distance_m = [float(self._world.distance_m(src, dst, now_s)) for dst in receivers]
            delay_s += max(distance_m) / SPEED_OF_LIGHT_MPS
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
            self._radios[src].sharing_weight if weight is None else weight,
        )
        for number, transfer in enumerate(transfers):
            self._open[transfer.number] = (sending, number)
            if self._invariants is not None:
                self._invariants.time(now_s)
                self._invariants.opened(transfer.number)
        self._deadlines.add(sending)
        if sending.packets.num == 0:
            sending.flow = self._medium.flow(sending)
            sending.airing = Airing.nothing(sending.flow, now_s)
            self._await_arrival(sending)
        else:
            self._medium.ask(sending)
        return tuple(transfers)

    def radiated_j(self, device: int) -> float:
        """Return the energy that a device has radiated until now.

        It is transmit power integrated over the time in which something is sent: not while a flow
        has no share of its band, nor while its rate is 0.
        """
        return self._medium.radiated_j(device)

    def abort(self, transfer: Transfer) -> None:
        """End a transfer now, unless it has ended.

        One of a multicast leaves the others be. Until its round ends the transmitter does not
        know: it goes on at the rate of all, and sends again what the one that is gone would lack.
        """
        if transfer.number in self._open:
            self._drop(*self._open[transfer.number])

    def abort_device(self, device: int) -> None:
        """End all transfers from and to a device now."""
        for number, (sending, receiver) in list(self._open.items()):
            if number in self._open and device in (sending.src, sending.payloads[receiver].dst):
                self._drop(sending, receiver)

    def abort_where(self, is_unwanted: Callable[[Payload], bool]) -> int:
        """End the transfers of some payloads now; return how many have ended as `aborted`.

        Those that end at this very instant by themselves do so. One of a multicast leaves the
        others be, as in `abort`.
        """
        chosen = [
            (number, sending, receiver)
            for number, (sending, receiver) in self._open.items()
            if is_unwanted(sending.payloads[receiver])
        ]
        before = self._num_aborted
        for number, sending, receiver in chosen:
            if number in self._open:
                self._drop(sending, receiver)
        return self._num_aborted - before

    def finish(self) -> None:
        """End all transfers that are in flight, at the end of a run."""
        for number, (sending, _) in list(self._open.items()):
            if number in self._open:
                self._cut(sending, "aborted", self._env.now, final=True)
        self._deadlines.clear()
        if self._invariants is not None:
            self._invariants.finished()

    # From the end of the last attempt of a round to the end of the transfer

    def _aired(self, sending: Sending) -> None:
        """A round has left the air: its last attempt has ended."""
        assert sending.airing is not None
        if self._has_another_round(sending):
            # No acknowledgement comes before what it acknowledges.
            wait_s = max(self._transport.ack_delay_s, sending.delay_s)
            acknowledged = self._env.timeout(max(sending.airing.end_s + wait_s - self._env.now, 0))
            acknowledged.callbacks = [lambda _: self._next_round(sending)]
        else:
            self._await_arrival(sending)

    def _dropped(self, sending: Sending) -> None:
        """A sending has found its queue full."""
        self._close_all(sending, "dropped", self._env.now)

    def _has_another_round(self, sending: Sending) -> bool:
        """Return whether a round that has left the air is not the last."""
        if sending.is_on_air or sending.airing is None or sending.round + 1 >= self._num_rounds:
            return False
        return sending.lacks()

    def _next_round(self, sending: Sending) -> None:
        """The acknowledgement is there: send again what is lacked."""
        if sending.has_ended or not sending.lacks():  # those that lacked a packet are gone
            return
        self._check_airing(sending)
        sending.next_round(record=self._on_packets is not None)
        self._medium.ask(sending)

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
        if sending.has_ended:
            return
        assert sending.airing is not None
        aired_s = sending.airing.end_s
        # Later only where an acknowledgement was waited for of a receiver that is gone now.
        end_s = max(aired_s + sending.delay_s, self._env.now)
        self._close_all(sending, "delivered", end_s, aired_s)

    def _drop(self, sending: Sending, receiver: int) -> None:
        """End one receiver's transfer now; the last one takes the flow off the air."""
        now_s = self._env.now
        if sending.open_receivers() == (receiver,):
            self._cut(sending, "aborted", now_s)
            return
        if sending.is_on_air:
            sending.airing = self._medium.progress(sending)
        if not self._arrives_by(sending, now_s + tolerance_s(now_s)):
            had_round = self._has_another_round(sending)
            sending.book()
            arrived = sending.has_by(now_s - sending.delay_s)[receiver]
            self._medium.stop_receiving(sending, receiver)
            self._close(sending, receiver, "aborted", now_s, arrived)
            if had_round and not self._has_another_round(sending):
                self._await_arrival(sending)
        if sending.is_on_air:
            sending.airing = None

    def _cut(self, sending: Sending, outcome: Outcome, now_s: float, final: bool = False) -> None:
        """End a sending now, unless at this very instant it ends by itself."""
        was_on_air = sending.is_on_air
        self._medium.take_off(sending)
        if self._arrives_by(sending, now_s + tolerance_s(now_s)):
            if final or was_on_air:
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
        self._check_airing(sending)
        sending.book()
        for receiver in sending.open_receivers():
            lacks = outcome == "delivered" and not arrived[receiver].all()
            ended: Outcome = "partial" if lacks else outcome
            self._close(sending, receiver, ended, end_s, arrived[receiver])

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
        self._num_aborted += outcome == "aborted"
        sending.is_closed[receiver] = True
        if sending.has_ended:
            self._deadlines.forget(sending)
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
        most_j = flow.wanted_power_w * (airing.end_s - flow.start_s)
        self._invariants.energy(airing.radiated_j, most_j)
        self._invariants.bits(
            served=airing.served_bits,
            delivered=float(flow.packets.bits()[through].sum()),
            lost=airing.lost_bits,
            in_flight=airing.in_flight_bits,
        )
