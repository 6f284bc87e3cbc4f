"""The state of a run, and the steps that protocols are made of: train, send, keep, leave.

Protocols read and act through a `Simulation` alone: it joins the world, the network, the learner
and the plan on one event loop and keeps the books of the round.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.boundary import Delivery, Evaluation, Payload, TrainingReport
from cosim.learning.learner import Learner
from cosim.planning.view import Plan
from cosim.results.tables import Recorder
from cosim.rng import Draws
from cosim.scenario.tree import DeviceGroup, Scenario
from cosim.sim.controlling import Controlling
from cosim.sim.energy import USES, EnergyMeter
from cosim.sim.foresight import Foresight
from cosim.sim.in_flight import SentAnew, lacks_link
from cosim.sim.measures import MeasureBooks
from cosim.sim.network import Network
from cosim.sim.observer import Observer, RoundRecord
from cosim.sim.records import FlowRecord, PacketRecord
from cosim.sim.replan import Replanner
from cosim.units import dbm_to_watts
from cosim.world.world import World

BACKGROUND = "background"
"""Kind of a payload that is not of learning; it is recorded, and left out of a round's sums."""


@dataclass
class RoundBooks:
    """What is summed up while a round goes on."""

    round: int
    start_s: float
    start_energy_j: float
    losses: list[float] = field(default_factory=list)
    bits_sent: float = 0.0
    bits_delivered: float = 0.0
    num_late: int = 0
    num_lost_packets: int = 0
    staleness: list[int] = field(default_factory=list)  # of the updates that were aggregated
    open: bool = True


class Simulation:
    """One run on one event loop."""

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        learner: Learner,
        recorder: Recorder,
        observer: Observer,
        *,
        check: bool,
    ) -> None:
        self.scenario = scenario
        self.world = world
        self.learner = learner
        self.recorder = recorder
        self.observer = observer
        self.draws = Draws(scenario.seed)
        self.env = simpy.Environment()
        self.groups: list[DeviceGroup] = [
            group
            for group, size in zip(scenario.devices, scenario.group_sizes, strict=True)
            for _ in range(size)
        ]
        self.alive = world.enter_s <= 0.0  # [num_devices]
        self.is_base = np.array([group.role == "base_station" for group in self.groups])
        self.inbox: list[list[Delivery]] = [[] for _ in self.groups]
        self.training: set[int] = set()
        self.books = RoundBooks(0, 0.0, 0.0, open=False)
        self._measures = MeasureBooks(len(self.groups)) if scenario.record.measures else None
        self._evaluated_s, self._evaluated_round = -math.inf, -1
        self._left = [self.env.event() for _ in self.groups]
        self.energy = EnergyMeter(
            self.env,
            [group.battery_j for group in self.groups],
            self._battery_empty,
            self._transmitted_j,
        )
        self.network = Network(
            self.env,
            world,
            [group.radio for group in self.groups],
            scenario.spectrum,
            scenario.link,
            scenario.transport,
            self.draws,
            on_flow=self._record_flow,
            on_packets=self._record_packets if scenario.record.packets else None,
            on_transmit=self._transmits,
            on_receive=self._receives,
            is_base=self.is_base.tolist(),
            reach_m=scenario.channel.range_m,
            check=check,
        )
        self.sent_anew = SentAnew()
        foresight = Foresight(scenario)
        self.controlling = Controlling(
            scenario, foresight, world, learner, self.network, recorder, log=self.log
        )
        self.replanner = Replanner(
            self.env,
            scenario,
            foresight,
            world,
            learner,
            self.alive,
            on_plan=self._record_plan,
            on_kept=lambda why: self.log("plan_kept", -1, why),
            on_force=self._plan_in_force,
        )
        self._num_sent = [0] * len(self.groups)  # flows on the air
        self._num_received = [0] * len(self.groups)
        for device in self.alive_devices():
            self._take_part(device)
        for number, (enter_s, leave_s) in enumerate(zip(world.enter_s, world.leave_s, strict=True)):
            if 0.0 < enter_s < math.inf:
                self.env.timeout(float(enter_s)).callbacks.append(partial(self._enter, number))
            if leave_s < math.inf:
                self.env.timeout(float(leave_s)).callbacks.append(partial(self._leave, number))

    # What protocols ask

    @property
    def now_s(self) -> float:
        """Simulated time."""
        return float(self.env.now)

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self.replanner.plan

    def alive_devices(self) -> list[int]:
        """Return the devices that take part, ascending."""
        return [int(device) for device in np.flatnonzero(self.alive)]

    # What protocols do

    def train(self, device: int, round: int) -> Generator[simpy.Event, object, bool]:
        """Let a device train for its modelled compute time.

        Returns:
            Whether it finished; False if the device left meanwhile.
        """
        compute = self.groups[device].compute
        work = self.learner.begin_training(device, round)
        start_s = self.now_s
        self.training.add(device)
        self.energy.add_draw(device, compute.power_w, "compute")
        done = self.env.timeout(compute.time_s(self.draws, device, work))
        yield done | self._left[device]
        self.energy.add_draw(device, -compute.power_w, "compute")
        self.training.discard(device)
        if not self.alive[device]:
            self.learner.drop_training(device)
            return False
        report = self.learner.end_training(device)
        self._record_training(report, start_s, compute.power_w)
        return True

    def send(self, payload: Payload, power_w: float) -> simpy.Event:
        """Send a payload over the link it is for; the event's value is its `Delivery`."""
        return self.network.send(payload, power_w, self.controlling.weight((payload,)))

    def multicast(self, payloads: Sequence[Payload], power_w: float) -> Sequence[simpy.Event]:
        """Send the same bytes to several at once; one event for each, of which `send` says more."""
        return self.network.multicast(payloads, power_w, self.controlling.weight(payloads))

    def merge(
        self,
        device: int,
        deliveries: Sequence[Delivery],
        weights: Sequence[float],
        staleness: Sequence[int],
    ) -> None:
        """Let a device aggregate updates that it received.

        Args:
            device: which.
            deliveries: what arrived.
            weights: the mixing weight of each, at most 1 together.
            staleness: how much older each is than what it is merged into.
        """
        self.learner.merge(device, deliveries, weights)
        self._record_merges(device, deliveries, weights, staleness)

    def usable(self, delivery: Delivery) -> bool:
        """Return whether a receiver can use what arrived.

        A reliable transfer is all or nothing; a best-effort one is worth what arrived of it.
        """
        if self.scenario.transport.reliability == "reliable":
            return delivery.outcome == "delivered"
        return delivery.outcome == "delivered" or bool(delivery.arrived.any())

    def count_late(self, delivery: Delivery, detail: str) -> None:
        """Note that an update came too late for its round."""
        self.books.num_late += 1
        text = f"update of device {delivery.payload.src}, round {delivery.payload.round}: {detail}"
        self.log("late", delivery.payload.dst, text)

    def depart(self, device: int, kind: str, detail: str) -> None:
        """Take a device out of the run at this instant, mid-transfer and mid-training too."""
        if not self.alive[device]:
            return
        self.alive[device] = False
        self.network.abort_device(device)
        self.energy.add_draw(device, -self.groups[device].radio.idle_power_w, "idle")
        self._left[device].succeed()
        self.log(kind, device, detail)

    def log(self, kind: str, device: int, detail: str) -> None:
        """Add a row to the table `events`."""
        self.recorder.add("events", t_s=self.now_s, kind=kind, device=device, detail=detail)
        self.observer.on_event(self.now_s, kind, device, detail)

    # Who takes part, and what it draws

    @property
    def next_entry_s(self) -> float:
        """When the next device enters; infinity if none does any more."""
        later = self.world.enter_s[self.world.enter_s > self.now_s]
        return float(later.min()) if later.size else math.inf

    def _enter(self, device: int, _: simpy.Event) -> None:
        self.alive[device] = True
        self.log("enter", device, "")
        self._take_part(device)

    def _leave(self, device: int, _: simpy.Event) -> None:
        self.depart(device, "leave", "")

    def _take_part(self, device: int) -> None:
        self.energy.add_draw(device, self.groups[device].radio.idle_power_w, "idle")
        if self.energy.is_empty(device):
            self._battery_empty(device)

    def _transmits(self, device: int, change: int) -> None:
        """The number of flows that a device sends changes."""
        before = self._num_sent[device]
        self._num_sent[device] = before + change
        if before == 0 or before + change == 0:
            radio = self.groups[device].radio
            most_w = dbm_to_watts(radio.tx_power_dbm) / radio.amplifier_efficiency
            self.energy.may_transmit(device, most_w if before == 0 else 0.0)

    def _transmitted_j(self, device: int) -> float:
        """Return what a device's amplifier has drawn until now."""
        return self.network.radiated_j(device) / self.groups[device].radio.amplifier_efficiency

    def _receives(self, device: int, change: int) -> None:
        """The number of flows that a device receives changes."""
        before = self._num_received[device]
        self._num_received[device] = before + change
        began, ended = before == 0, before + change == 0
        power_w = self.groups[device].radio.receive_power_w
        if began != ended and power_w > 0.0:
            self.energy.add_draw(device, power_w if began else -power_w, "receive")

    # The books of a round

    def replan(self, round: int) -> None:
        """Plan if a trigger fires, and bring the newest plan into force for this round."""
        self.replanner.begin_round(round)

    def _plan_in_force(self, before: Plan | None) -> None:
        """A plan has come into force: take off the air what it has no link for, if asked to."""
        plan = self.plan
        self.network.set_clusters(plan.cluster)
        if before is None or self.scenario.topology.in_flight == "finish":
            return
        num_aborted = self.network.abort_where(lacks_link(plan))
        if num_aborted:
            self.log("abort", -1, f"plan {plan.index}: {num_aborted} transfers without a link")
        if self.scenario.topology.in_flight == "migrate":
            free = set(self.alive_devices()) - self.training
            for device in self.sent_anew.send(free):
                self.log("migrate", device, f"plan {plan.index}: update sent to new neighbours")

    def control(self, round: int, devices: Sequence[int], links: NDArray[np.int64]) -> None:
        """Have the controller decide on the round that begins.

        Args:
            round: its number.
            devices: that are to train and send, ascending.
            links: positions in the plan's links of those that will carry their updates.
        """
        self.controlling.begin(round, self.now_s, self.plan, devices, links)

    def open_books(self, round: int) -> None:
        """Begin to sum up a round."""
        self.books = RoundBooks(round, self.now_s, self.energy.total_j())
        if self._measures is not None:
            self.learner.watch_merges(self._may_be_evaluated(round))

    def close_books(self) -> None:
        """Record the round that has ended."""
        books, plan = self.books, self.plan
        books.open = False
        record = RoundRecord(
            round=books.round,
            t_s=self.now_s,
            start_s=books.start_s,
            loss_mean=float(np.mean(books.losses)) if books.losses else float("nan"),
            bits_sent=books.bits_sent,
            bits_delivered=books.bits_delivered,
            energy_j=self.energy.total_j() - books.start_energy_j,
            num_clusters=plan.num_clusters,
            collision_rate=self._measured_collision_rate(plan),
            num_late=books.num_late,
            num_lost_packets=books.num_lost_packets,
            num_plans=self.replanner.num_plans,
            num_devices=int(self.alive.sum()),
            num_trainings=len(books.losses),
            num_merged=len(books.staleness),
            staleness_mean=float(np.mean(books.staleness)) if books.staleness else float("nan"),
        )
        self.recorder.add("rounds", **vars(record))
        self.observer.on_round(record)

    def record_energy(self) -> None:
        """Record what each device has used, and for what."""
        devices = range(len(self.groups))
        used_j = {
            f"{use}_j": np.array([self.energy.used_for_j(use, device) for device in devices])
            for use in USES
        }
        self.recorder.extend(
            "energy",
            t_s=self.now_s,
            device=np.array(devices),
            **used_j,
            left_j=np.array([self.energy.left_j(device) for device in devices]),
        )

    def evaluation_is_due(self, round: int) -> bool:
        """Return whether to evaluate at the end of this round."""
        every = self.scenario.evaluate.every
        if every.rounds is not None:
            return round % every.rounds == 0
        assert every.time_s is not None
        return self.now_s - self._evaluated_s >= every.time_s

    def _may_be_evaluated(self, round: int) -> bool:
        """Return whether there may be an evaluation at the end of a round that begins."""
        every, last = self.scenario.evaluate.every, self.scenario.duration.rounds
        return every.rounds is None or last is None or round == last or round % every.rounds == 0

    @property
    def is_evaluated(self) -> bool:
        """Whether the devices' models are as they were last judged."""
        return self._evaluated_round == self.books.round

    def evaluate(self, round: int, devices: Sequence[int]) -> None:
        """Judge the models of some devices on every task; `round` rounds are over."""
        self._evaluated_s, self._evaluated_round = self.now_s, round
        scores: list[Evaluation] = self.learner.evaluate(devices)
        for score in scores:
            self.recorder.add("evaluations", round=round, t_s=self.now_s, **vars(score))
        self.observer.on_evaluation(self.now_s, round, scores)
        if self._measures is not None:
            plan = self.replanner.plan if self.replanner.num_plans else None
            measured = self._measures.take(self.learner, self.alive_devices(), plan, scores)
            for table, columns in measured.items():
                self.recorder.extend(table, round=round, t_s=self.now_s, **columns)

    def _measured_collision_rate(self, plan: Plan) -> float:
        clusters = (plan.members(cluster).tolist() for cluster in range(plan.num_clusters))
        rates = [self.learner.overlap(members) for members in clusters if len(members) > 1]
        return float(np.mean(rates)) if rates else 0.0

    def _record_merges(
        self,
        device: int,
        deliveries: Sequence[Delivery],
        weights: Sequence[float],
        staleness: Sequence[int],
    ) -> None:
        if not deliveries:
            return
        self.books.staleness += staleness
        num = len(deliveries)
        self.recorder.extend(
            "merges",
            round=np.full(num, self.books.round),
            t_s=np.full(num, self.now_s),
            device=np.full(num, device),
            src=np.array([delivery.payload.src for delivery in deliveries]),
            sent_round=np.array([delivery.payload.round for delivery in deliveries]),
            staleness=np.array(staleness),
            weight=np.array(weights, dtype=np.float64),
        )

    def _record_training(self, report: TrainingReport, start_s: float, power_w: float) -> None:
        self.books.losses.append(report.loss)
        if self._measures is not None:
            self._measures.flops[report.device] += report.flops
        self.recorder.add(
            "trainings",
            start_s=start_s,
            end_s=self.now_s,
            energy_j=power_w * (self.now_s - start_s),
            **vars(report),
        )

    def _record_flow(self, flow: FlowRecord) -> None:
        self.recorder.add("flows", **vars(flow))
        if flow.kind == BACKGROUND:
            return
        self.controlling.flow_ended(flow)
        self.books.bits_sent += flow.air_bits
        if self._measures is not None:
            self._measures.bits_sent[flow.src] += flow.air_bits
        self.books.bits_delivered += flow.delivered_bits
        self.books.num_lost_packets += flow.num_lost

    def _record_packets(self, packets: PacketRecord) -> None:
        self.recorder.extend("packets", **vars(packets))

    def _battery_empty(self, device: int) -> None:
        self.depart(device, "battery_empty", f"after {self.energy.used_j(device):.6g} J")

    def _record_plan(self, plan: Plan, trigger: str) -> None:
        self.recorder.extend(
            "plans",
            plan=plan.index,
            t_s=plan.t_s,
            trigger=trigger,
            device=np.arange(len(plan.cluster)),
            cluster=plan.cluster,
            is_gateway=np.isin(np.arange(len(plan.cluster)), plan.gateways.src),
            density=plan.density,
        )
        for links in (plan.links, plan.gateways):
            with np.errstate(divide="ignore"):  # no gain is minus infinity in dB
                mean_gain_db = 10 * np.log10(links.mean_gain)
            self.recorder.extend(
                "links",
                plan=plan.index,
                src=links.src,
                dst=links.dst,
                power_w=links.power_w,
                mean_gain_db=mean_gain_db,
                predicted_delay_s=links.predicted_delay_s,
            )
        self.log("plan", -1, f"{trigger}: {plan.num_clusters} clusters; " + "; ".join(plan.reasons))
        self.observer.on_plan(plan, trigger)
