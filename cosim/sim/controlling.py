"""Controlling: what the controller sees when a round begins, and where what it says goes.

A controller sees mean gains, averaged over fading, of the links that will carry updates, at the
instant at which it is asked. Densities hold from a device's next training on. A link's weight holds
for updates that are sent over it from then on; everything else has its radio's `sharing_weight`.
The weights of a band are scaled to 1 a link in the mean, a radio's usual weight, so that updates
compete with what else is on the air as if nobody controlled them.

What was measured is the longest time that any update took which ended since the controller was
asked last: from when it was handed to the network until it was through or given up.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cosim.boundary import Payload
from cosim.learning.learner import Learner
from cosim.learning.sizing import ChooseRank, Sizing, UnitSize
from cosim.planning.airtime import SharedLinks
from cosim.planning.controllers.base import Control, Controller, ControlView, OfflineView
from cosim.planning.update_bits import UpdateBits
from cosim.planning.view import Plan
from cosim.results.tables import Recorder
from cosim.scenario.tree import Scenario
from cosim.sim.foresight import Foresight
from cosim.sim.network import Network
from cosim.sim.records import FlowRecord
from cosim.world.world import World

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CONTROL_EVENT = "control"
"""Kind of the events that say why a controller has chosen what it has."""

_NUM_INSTANTS = 32
_HORIZON_S = 600.0
"""Mean gains before a run are over so many instants of its duration, or of this where that is told
in rounds [own choices]."""


class Controlling:
    """The controller of a run, its view of the network, and what holds of what it has said.

    Args:
        scenario: what is run.
        foresight: powers, noise, sizes on the air, training times.
        world: gains.
        learner: sizes of updates; takes the densities.
        network: knows who shares a band.
        recorder: takes the table `controls`.
        log: called with a kind, a device and a detail, for the table `events`.
    """

    def __init__(
        self,
        scenario: Scenario,
        foresight: Foresight,
        world: World,
        learner: Learner,
        network: Network,
        recorder: Recorder,
        log: Callable[[str, int, str], None],
    ) -> None:
        self._scenario = scenario
        self._controller: Controller = scenario.control
        self._foresight = foresight
        self._world = world
        self._learner = learner
        self._network = network
        self._recorder = recorder
        self._log = log
        self._weight: dict[tuple[int, int], float] = {}
        self._control: Control | None = None
        self._longest_s: float | None = None

    def begin(
        self, round: int, t_s: float, plan: Plan, devices: Sequence[int], links: Ints
    ) -> None:
        """Ask the controller for the round that begins, unless it leaves all as it is.

        Args:
            round: its number.
            t_s: now.
            plan: the plan in force.
            devices: that are to train and send, ascending.
            links: positions in the plan's links of those that will carry their updates.
        """
        if not self._controller.acts or not len(links):
            return
        at = np.array(devices, dtype=np.int64)
        sizing = self._learner.sizing(devices)
        shared = self._shared(plan, _worst_of_multicasts(plan, links, self._foresight), t_s)
        control = self._controller.control(self._view(round, shared, at, sizing))
        if self._controller.sets_density:
            self._learner.set_densities(devices, control.density[at].tolist())
        num_in_band = np.bincount(shared.band)[shared.band]
        ends = zip(shared.src.tolist(), shared.dst.tolist(), strict=True)
        self._weight = dict(zip(ends, (control.weight * num_in_band).tolist(), strict=True))
        self._record(round, t_s, shared, at, sizing, control)
        self._control, self._longest_s = control, None

    def weight(self, payloads: Sequence[Payload]) -> float | None:
        """Return the weight of what one transmission carries; None for the radio's own."""
        if not self._weight or payloads[0].kind != "update":
            return None
        found = [self._weight.get((each.src, each.dst)) for each in payloads]
        said = [weight for weight in found if weight is not None]
        return max(said) if said else None

    def flow_ended(self, flow: FlowRecord) -> None:
        """Take in how long an update took."""
        if flow.kind == "update" and self._controller.acts:
            self._longest_s = max(self._longest_s or 0.0, flow.end_s - flow.start_s)

    def _shared(self, plan: Plan, links: Ints, t_s: float) -> SharedLinks:
        src, dst = plan.links.src[links], plan.links.dst[links]
        ends = zip(src.tolist(), dst.tolist(), strict=True)
        domains = [self._network.domain(from_, [to]) for from_, to in ends]
        return SharedLinks(
            src=src,
            dst=dst,
            band=np.unique(domains, return_inverse=True)[1],
            power_w=plan.links.power_w[links],
            gain=self._world.mean_gain(src, dst, t_s),
            noise_w_per_hz=self._foresight.noise_w_per_hz[dst],
            bandwidth_hz=self._foresight.bandwidth_hz,
            rate=self._scenario.link.rate,
        )

    def _view(self, round: int, links: SharedLinks, devices: Ints, sizing: Sizing) -> ControlView:
        num = self._scenario.num_devices

        def spread(numbers: Floats) -> Floats:
            everyone = np.zeros(num)
            everyone[devices] = numbers
            return everyone

        density = spread(sizing.density)
        bits = UpdateBits(
            num_values=spread(sizing.num_values),
            value_bits=sizing.value_bits,
            fixed_bits=spread(sizing.fixed_bits),
            knows_positions=sizing.knows_positions,
            overhead=np.ones(num),
        )
        radios = [group.radio.sharing_weight for group in self._scenario.devices]
        return ControlView(
            round=round,
            links=links,
            bits=bits.matched(density, spread(self._foresight.air_bits(sizing.update_bits))),
            rank=sizing.rank,
            density=density,
            compute_s=spread(self._foresight.compute_s(devices, sizing.full_work)),
            least_compute_s=spread(self._foresight.compute_s(devices, sizing.least_work)),
            delay_s=self._longest_s,
            previous=self._control,
            weight=np.repeat(radios, self._scenario.group_sizes),
        )

    def _record(
        self,
        round: int,
        t_s: float,
        links: SharedLinks,
        devices: Ints,
        sizing: Sizing,
        control: Control,
    ) -> None:
        num = self._scenario.num_devices
        weight, delay_s = np.zeros(num), np.zeros(num)
        np.add.at(weight, links.src, control.weight)
        np.maximum.at(delay_s, links.src, control.delay_s)
        has_links = np.isin(devices, links.src)
        longest_s = np.nan if self._longest_s is None else self._longest_s
        self._recorder.extend(
            "controls",
            round=np.full(len(devices), round),
            t_s=t_s,
            device=devices,
            # What is settled for good is what it is, whatever the controller says.
            density=np.where(sizing.num_values > 0.0, control.density[devices], sizing.density),
            weight=weight[devices],
            queue_s=control.queue_s,
            delay_s=np.where(has_links, delay_s[devices], np.nan),
            measured_s=longest_s,
        )
        if control.reasons:
            self._log(CONTROL_EVENT, -1, f"round {round}: {'; '.join(control.reasons)}")


def _worst_of_multicasts(plan: Plan, links: Ints, foresight: Foresight) -> Ints:
    """Return the links less those of a device that multicasts, but for the worst of them."""
    planned = plan.links
    multicast = plan.multicast[planned.src[links]]
    if not multicast.any():
        return links
    worst: dict[int, int] = {}
    snr = planned.mean_gain / foresight.noise_w_per_hz[planned.dst]
    for link in links[multicast].tolist():
        src = int(planned.src[link])
        if src not in worst or snr[link] < snr[worst[src]]:
            worst[src] = link
    return np.sort(np.concatenate([links[~multicast], np.array([*worst.values()], dtype=np.int64)]))


def rank_chooser(
    scenario: Scenario, world: World, tell: Callable[[str], None]
) -> ChooseRank | None:
    """Return what lets the controller choose the rank before learning begins; None if it does not.

    It is shown every client's link to the server at its mean gain, of which a round has as many as
    the protocol samples.

    Args:
        scenario: what is run.
        world: gains.
        tell: called with the controller's reasons.
    """
    controller: Controller = scenario.control
    if not controller.chooses_rank:
        return None

    def choose(size: UnitSize) -> tuple[int, float]:
        transport, ones = scenario.transport, np.ones(scenario.num_devices)
        room_bytes = transport.mtu_bytes - transport.header_bytes - size.framing_bytes
        bits = UpdateBits(
            num_values=size.num_values * ones,
            value_bits=size.value_bits,
            fixed_bits=size.fixed_bits * ones,
            knows_positions=size.knows_positions,
            overhead=transport.mtu_bytes / room_bytes * ones,
        )
        choice = controller.rank(OfflineView(_uplinks(scenario, world), bits))
        assert choice is not None, "it says that it chooses"
        tell("; ".join(choice.reasons))
        return choice.rank, choice.density

    return choose


def _uplinks(scenario: Scenario, world: World) -> SharedLinks:
    """Return all clients' links to the server at their mean gains."""
    foresight = Foresight(scenario)
    (server,) = scenario.servers
    clients = np.delete(np.arange(scenario.num_devices), server)
    duration_s = scenario.duration.time_s
    instants_s = np.linspace(0.0, _HORIZON_S if duration_s is None else duration_s, _NUM_INSTANTS)
    gain = world.mean_gain(clients[:, np.newaxis], server, instants_s).mean(axis=1)
    alone = scenario.spectrum.domain == "per_transmitter"
    sampled = getattr(scenario.protocol, "clients_per_round", None)
    return SharedLinks(
        src=clients,
        dst=np.full(len(clients), server),
        band=clients if alone else np.zeros(len(clients), dtype=np.int64),
        power_w=foresight.max_power_w[clients],
        gain=gain,
        noise_w_per_hz=foresight.noise_w_per_hz[np.full(len(clients), server)],
        bandwidth_hz=foresight.bandwidth_hz,
        rate=scenario.link.rate,
        participation=1.0 if sampled is None or alone else sampled / len(clients),
    )
