"""The state of a run, and the steps that protocols are made of: train, send, keep, leave.

Protocols read and act through a `Simulation` alone: it joins the world, the network, the learner
and the plan on one event loop and keeps the books of the round.
"""

import math
from collections.abc import Generator, Sequence
from functools import partial

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.boundary import Delivery, Payload
from cosim.learning.learner import Learner
from cosim.planning.view import Plan
from cosim.results.tables import Recorder
from cosim.rng import Draws
from cosim.scenario.tree import DeviceGroup, Scenario
from cosim.sim.books import BACKGROUND, Books
from cosim.sim.controlling import Controlling
from cosim.sim.energy import EnergyMeter
from cosim.sim.foresight import Foresight
from cosim.sim.in_flight import SentAnew, lacks_link
from cosim.sim.network import Network
from cosim.sim.observer import Observer
from cosim.sim.records import FlowRecord
from cosim.sim.replan import Replanner
from cosim.units import dbm_to_watts
from cosim.wording import counted
from cosim.world.world import World


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
        self.books = Books(
            lambda: self.now_s,
            learner,
            recorder,
            observer,
            len(self.groups),
            measures=scenario.record.measures,
        )
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
            on_flow=self._flow_ended,
            on_packets=self.books.packets if scenario.record.packets else None,
            on_transmit=self._transmits,
            on_receive=self._receives,
            is_base=self.is_base.tolist(),
            reach_m=scenario.channel.range_m,
            check=check,
        )
        self.sent_anew = SentAnew()
        foresight = Foresight(scenario)
        self.controlling = Controlling(
            scenario, foresight, world, learner, self.network, recorder, log=self.books.log
        )
        self.replanner = Replanner(
            self.env,
            scenario,
            foresight,
            world,
            learner,
            self.alive,
            on_plan=self.books.plan,
            on_kept=lambda why: self.books.log("plan_kept", -1, why),
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
        self.books.training(report, start_s, compute.power_w)
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
        self.books.merges(device, deliveries, weights, staleness)

    def usable(self, delivery: Delivery) -> bool:
        """Return whether a receiver can use what arrived.

        A reliable transfer is all or nothing; a best-effort one is worth what arrived of it.
        """
        if self.scenario.transport.reliability == "reliable":
            return delivery.outcome == "delivered"
        return delivery.outcome == "delivered" or bool(delivery.arrived.any())

    def depart(self, device: int, kind: str, detail: str) -> None:
        """Take a device out of the run at this instant, mid-transfer and mid-training too."""
        if not self.alive[device]:
            return
        self.alive[device] = False
        self.network.abort_device(device)
        self.energy.add_draw(device, -self.groups[device].radio.idle_power_w, "idle")
        self._left[device].succeed()
        self.books.log(kind, device, detail)

    # Who takes part, and what it draws

    @property
    def next_entry_s(self) -> float:
        """When the next device enters; infinity if none does any more."""
        later = self.world.enter_s[self.world.enter_s > self.now_s]
        return float(later.min()) if later.size else math.inf

    def _enter(self, device: int, _: simpy.Event) -> None:
        self.alive[device] = True
        self.books.log("enter", device, "")
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

    # Rounds

    def replan(self, round: int) -> None:
        """Plan if a trigger fires, and bring the newest plan into force for this round."""
        self.replanner.begin_round(round)

    def _plan_in_force(self, before: Plan | None) -> None:
        """A plan has come into force: take off the air what it has no link for, if asked to."""
        plan = self.plan
        self.network.set_clusters(plan.cluster)
        if before is None or self.scenario.topology.in_flight == "finish":
            return
        num = self.network.abort_where(lacks_link(plan))
        if num:
            aborted = f"{counted(num, 'transfer')} without a link"
            self.books.log("abort", -1, f"plan {plan.index}: {aborted}")
        if self.scenario.topology.in_flight == "migrate":
            free = set(self.alive_devices()) - self.training
            for device in self.sent_anew.send(free):
                self.books.log(
                    "migrate", device, f"plan {plan.index}: update sent to new neighbours"
                )

    def control(self, round: int, devices: Sequence[int], links: NDArray[np.int64]) -> None:
        """Have the controller decide on the round that begins.

        Args:
            round: its number.
            devices: that are to train and send, ascending.
            links: positions in the plan's links of those that will carry their updates.
        """
        self.controlling.begin(round, self.now_s, self.plan, devices, links)

    def open_round(self, round: int) -> None:
        """Begin to sum up a round."""
        every, last = self.scenario.evaluate.every, self.scenario.duration.rounds
        due = every.rounds is None or last is None or round == last or round % every.rounds == 0
        self.books.open_round(round, may_be_evaluated=due)

    def close_round(self) -> None:
        """Record the round that has ended."""
        num_plans, num_devices = self.replanner.num_plans, int(self.alive.sum())
        self.books.close_round(self.plan, num_plans, num_devices, self.energy.total_j())

    def evaluation_is_due(self, round: int) -> bool:
        """Return whether to evaluate at the end of this round."""
        every = self.scenario.evaluate.every
        if every.rounds is not None:
            return round % every.rounds == 0
        assert every.time_s is not None
        return self.books.since_evaluation_s >= every.time_s

    def evaluate(self, round: int, devices: Sequence[int]) -> None:
        """Judge the models of some devices on every task; `round` rounds are over."""
        plan = self.plan if self.replanner.num_plans else None
        scores = self.learner.evaluate(devices)
        self.books.evaluation(round, scores, self.alive_devices(), plan)

    def _flow_ended(self, flow: FlowRecord) -> None:
        self.books.flow(flow)
        if flow.kind != BACKGROUND:
            self.controlling.flow_ended(flow)

    def _battery_empty(self, device: int) -> None:
        self.depart(device, "battery_empty", f"after {self.energy.used_j(device):.6g} J")
