"""The medium: when a sending's round goes on the air, as what flow, and whom it takes turns with.

A round asks its device's queue for the air (`admission`). When it goes, it becomes a flow of a
domain (`domains`), which has a share of that domain's band while it lasts (`engines.band`). When
its last attempt has ended, or it is taken off, its share and its place go to others.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import simpy
from numpy.typing import ArrayLike

from cosim.radio.arq import attempts_allowed
from cosim.radio.budget import noise_density_w_per_hz
from cosim.radio.resource_blocks import offsets_hz, usable_band
from cosim.rng import Draws
from cosim.scenario.tree import Link, Radio, Spectrum, Transport
from cosim.sim.admission import Admission, Request
from cosim.sim.check import Invariants
from cosim.sim.domains import Domains
from cosim.sim.engines.air import Air
from cosim.sim.engines.band import Band
from cosim.sim.engines.base import Engine
from cosim.sim.engines.flow import Airing, Flow, Receiver, Uniforms
from cosim.sim.engines.packet_train import PacketTrain
from cosim.sim.engines.per_packet import PerPacket
from cosim.sim.transfers import Sending
from cosim.units import dbm_to_watts
from cosim.world.world import World

_ENGINES: dict[str, type[Engine]] = {"packet_train": PacketTrain, "per_packet": PerPacket}


class Medium:
    """Puts the rounds of sendings on the air.

    Args:
        env: the event loop.
        world: distances and channel gains.
        radios: each device's radio, in device order.
        spectrum: the band, its domains and their sharing rule.
        link: rate and packet error.
        transport: retries, queues, engine.
        draws: the random numbers of losses.
        aired: called with a sending whose round has left the air by itself; its `airing` is set.
        dropped: called with a sending whose queue is full.
        record: whether the times of packets will be asked for.
        on_transmit: called with a device and the change of the number of flows that it sends.
        on_receive: called with a device and the change of the number of flows that it receives.
        is_base: whether each device is a base station, [num_devices]; None for no base stations.
        reach_m: how far co-channel interference reaches.
        invariants: what to check, or None.
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
        aired: Callable[[Sending], None],
        dropped: Callable[[Sending], None],
        record: bool,
        on_transmit: Callable[[int, int], None] | None,
        on_receive: Callable[[int, int], None] | None,
        is_base: Sequence[bool] | None,
        reach_m: float,
        invariants: Invariants | None,
    ) -> None:
        self._env = env
        self._world = world
        self._rule = spectrum.rule
        self._report_interval_s = float(link.rate.report_interval_s())
        self._has_interference = spectrum.interference == "co_channel"
        self._draws = draws
        self._aired = aired
        self._dropped = dropped
        self._on_transmit = on_transmit
        self._on_receive = on_receive
        self._max_attempts = attempts_allowed(transport.reliability, transport.max_attempts)
        if transport.ack_delay_s > 0.0:  # one attempt in each round
            self._max_attempts = 1
        self._noise_w_per_hz: Sequence[float] = noise_density_w_per_hz(
            spectrum.noise_density_dbm_per_hz, [radio.noise_figure_db for radio in radios]
        ).tolist()
        air = _air(world, spectrum, link, invariants)
        self._engine = _ENGINES[transport.engine](env, air, self._leave_air, record)
        self._band = Band(
            env,
            self._engine,
            air,
            [dbm_to_watts(radio.tx_power_dbm) for radio in radios],
            reach_m=reach_m if self._has_interference else None,
            distance_m=world.distance_m,
            invariants=invariants,
        )
        self._domains = Domains(spectrum.domain, world, len(radios), is_base)
        self._admission = Admission(
            env,
            len(radios),
            half_duplex=spectrum.duplex == "half",
            parallel=transport.parallel,
            limit_bytes=transport.queue_bytes,
        )
        self._sendings: dict[Flow, Sending] = {}  # that are on the air
        self._sent_by: dict[int, dict[Flow, None]] = {}  # likewise, by device
        self._settled_j = [0.0] * len(radios)  # radiated by flows that have left the air

    def domain(self, src: int, receivers: Sequence[int]) -> int:
        """See `Network.domain`."""
        return self._domains.of(src, receivers, self._env.now)

    def set_clusters(self, cluster: ArrayLike) -> None:
        """See `Network.set_clusters`."""
        self._domains.set_clusters(cluster)

    def ask(self, sending: Sending) -> None:
        """Put a sending's present round on the air, now or when its queue lets it.

        One whose queue is full is dropped, but never after its first round.
        """
        if self._admission.is_open:
            self._go(sending)
        else:
            sending.request = self._request(sending)
            self._admission.ask(sending.request)

    def radiated_j(self, device: int) -> float:
        """Return what a device has radiated until now."""
        on_air = self._sent_by.get(device, ())
        return self._settled_j[device] + math.fsum(self._engine.radiated_j(flow) for flow in on_air)

    def progress(self, sending: Sending) -> Airing:
        """Return what the round on the air has come to; it goes on."""
        assert sending.flow is not None
        self._band.look_again(sending.flow)
        return self._engine.progress(sending.flow)

    def stop_receiving(self, sending: Sending, receiver: int) -> None:
        """Note that a receiver, by its number, takes no part in a sending any more."""
        if sending.is_on_air and receiver in sending.members and self._on_receive is not None:
            self._on_receive(sending.payloads[receiver].dst, -1)

    def take_off(self, sending: Sending) -> None:
        """Take a sending off the air, which sets its `airing`, or out of its queue."""
        if sending.is_on_air:
            assert sending.flow is not None
            sending.airing = self._engine.cut(sending.flow)
            self._release(sending)
        elif sending.request is not None and sending.request.is_waiting:
            self._admission.withdraw(sending.request)

    def flow(self, sending: Sending) -> Flow:
        """Return the flow of a sending's present round, from now on."""
        now_s, src = self._env.now, sending.src
        receivers = [sending.payloads[number].dst for number in sending.members]
        return Flow(
            number=sending.number,
            src=src,
            receivers=tuple(
                Receiver(dst, self._noise_w_per_hz[dst], self._uniforms(sending, number))
                for number, dst in zip(sending.members, receivers, strict=True)
            ),
            packets=sending.round_packets(),
            wanted_power_w=sending.power_w,
            start_s=now_s,
            deadline_s=sending.deadline_s,
            delay_s=sending.delay_s,
            domain=self._domains.of(src, receivers, now_s),
            max_attempts=self._max_attempts,
            sample_interval_s=self._sample_interval_s(src, receivers),
            weight=sending.weight,
            held_snr=sending.held_snr(),
        )

    def _request(self, sending: Sending) -> Request:
        receivers = [sending.payloads[number].dst for number in sending.open_receivers()]
        drop = partial(self._dropped, sending) if sending.round == 0 else None
        go = partial(self._go, sending)
        return Request(sending.number, sending.src, receivers, sending.num_bytes, go, drop)

    def _go(self, sending: Sending) -> None:
        sending.members = sending.open_receivers()
        sending.flow = self.flow(sending)
        sending.is_on_air = True
        self._sendings[sending.flow] = sending
        self._sent_by.setdefault(sending.src, {})[sending.flow] = None
        self._band.join(sending.flow)
        self._tell(sending, 1)

    def _leave_air(self, flow: Flow, airing: Airing) -> None:
        """The engine is done with a flow: its last attempt has ended."""
        sending = self._sendings[flow]
        sending.airing = airing
        self._release(sending)
        self._aired(sending)

    def _release(self, sending: Sending) -> None:
        """Give a sending's share, power and place back."""
        assert sending.flow is not None
        assert sending.airing is not None
        del self._sendings[sending.flow]
        del self._sent_by[sending.src][sending.flow]
        self._settled_j[sending.src] += sending.airing.radiated_j
        self._band.leave(sending.flow)
        self._tell(sending, -1)
        sending.is_on_air = False
        if sending.request is not None:
            self._admission.release(sending.request)

    def _tell(self, sending: Sending, change: int) -> None:
        """Tell who keeps the books of energy that a sending goes on or leaves the air."""
        if self._on_transmit is not None:
            self._on_transmit(sending.src, change)
        if self._on_receive is not None:
            for number in sending.members:
                if not sending.is_closed[number]:
                    self._on_receive(sending.payloads[number].dst, change)

    def _sample_interval_s(self, src: int, receivers: Sequence[int]) -> float:
        """Return how often a flow's channel is looked at: the finest of what it depends on."""
        slot_s: float | None = self._rule.slot_s
        if slot_s is not None:
            return slot_s
        interval_s = min([self._world.sample_interval_s(src, dst) for dst in receivers])
        if self._has_interference and math.isinf(interval_s):
            # Any of the others may interfere.
            interval_s = min(self._world.finest_sample_interval_s(dst) for dst in receivers)
        return min(interval_s, self._report_interval_s)

    def _uniforms(self, sending: Sending, receiver: int) -> Uniforms:
        """Return what decides over the attempts of a sending's present round at a receiver."""
        src, dst = sending.src, sending.payloads[receiver].dst
        draws, purpose = self._draws.child("transfer", sending.earlier[receiver]), "packet_loss"
        if sending.round:
            purpose = f"packet_loss, round {sending.round}"
        return Uniforms(partial(draws.stretch, purpose, src, dst))


def _air(world: World, spectrum: Spectrum, link: Link, invariants: Invariants | None) -> Air:
    """Return what links are like on a spectrum, whose guard bands its resource blocks leave out."""
    bandwidth_hz, count = usable_band(spectrum)
    blocks, block_offsets_hz = spectrum.resource_blocks, None
    if count is not None and blocks is not None and world.is_selective:
        block_offsets_hz = offsets_hz(count, blocks.spacing_hz)
    return Air(
        world,
        bandwidth_hz,
        link.rate,
        link.error,
        spectrum.rule,
        combining=link.combining == "chase",
        num_blocks=count,
        block_offsets_hz=block_offsets_hz,
        has_interference=spectrum.interference == "co_channel",
        invariants=invariants,
    )
