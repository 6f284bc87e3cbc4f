"""Planning again: asks the triggers, shows the planner the network, keeps the plan in force."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import simpy

from cosim.planning.planners.base import Planner
from cosim.planning.triggers.base import Trigger, TriggerView
from cosim.planning.view import Plan, PlanView
from cosim.radio.budget import noise_density_w_per_hz
from cosim.radio.packets import on_air_bits

if TYPE_CHECKING:
    from cosim.sim.simulation import Simulation


class Replanner:
    """Holds the plan in force. Whatever is on the air when it changes goes on to its end."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._planner: Planner = sim.scenario.topology.planner
        self._triggers: tuple[Trigger, ...] = sim.scenario.topology.triggers
        self._plan: Plan | None = None
        self._round = 0

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        assert self._plan is not None, "the first round plans before anything else"
        return self._plan

    def begin_round(self, round: int) -> None:
        """Ask the triggers as a round begins; the first round always has a plan."""
        self._round = round
        reason = self._ask(round_begins=True)
        if reason is None and self._plan is None:
            reason = "first round"
        if reason is not None:
            self._replan(reason)

    def watch(self) -> Generator[simpy.Event, object, None]:
        """Ask each trigger at the times that it names, until there are none."""
        env = self._sim.env
        while True:
            next_s = min(
                (trigger.next_check_s(env.now) for trigger in self._triggers), default=math.inf
            )
            if math.isinf(next_s):
                return
            yield env.timeout(next_s - env.now)
            reason = self._ask(round_begins=False) if self._plan is not None else None
            if reason is not None:
                self._replan(reason)

    def _ask(self, *, round_begins: bool) -> str | None:
        sim = self._sim
        view = TriggerView(
            t_s=sim.now_s,
            round=self._round,
            round_begins=round_begins,
            plan=self._plan,
            mean_gain=lambda src, dst: sim.world.mean_gain(src, dst, sim.now_s),
        )
        reasons = (trigger.reason(view) for trigger in self._triggers)
        return next((reason for reason in reasons if reason is not None), None)

    def _replan(self, trigger: str) -> None:
        sim = self._sim
        self._plan = plan = self._planner.plan(self.view())
        sim.network.set_clusters(plan.cluster)
        self._record(plan, trigger)
        sim.log("plan", -1, f"{trigger}: {plan.num_clusters} clusters; " + "; ".join(plan.reasons))
        sim.observer.on_plan(plan, trigger)

    def view(self) -> PlanView:
        """Return the state of the network now, as a planner sees it."""
        sim = self._sim
        scenario, learner, now_s = sim.scenario, sim.learner, sim.now_s
        low, high = sim.world.neighbours(now_s, scenario.channel.range_m)
        both_alive = sim.alive[low] & sim.alive[high]
        low, high = low[both_alive], high[both_alive]
        devices = range(len(sim.groups))
        return PlanView(
            t_s=now_s,
            round=self._round,
            index=0 if self._plan is None else self._plan.index + 1,
            alive=sim.alive.copy(),
            low=low,
            high=high,
            mean_gain=sim.world.mean_gain(low, high, now_s),
            max_power_w=np.array([sim.max_power_w(device) for device in devices]),
            noise_w_per_hz=noise_density_w_per_hz(
                scenario.spectrum.noise_density_dbm_per_hz,
                [group.radio.noise_figure_db for group in sim.groups],
            ),
            bandwidth_hz=scenario.spectrum.bandwidth_hz,
            shared_by=scenario.spectrum.domain,
            rate=scenario.link.rate,
            payload_bits=np.array([self._air_bits(device) for device in devices]),
            density=np.array([learner.density(device) for device in devices]),
            compute_s=np.array(
                [
                    sim.groups[device].compute.time_s(sim.draws, device, learner.work(device))
                    for device in devices
                ]
            ),
            draws=sim.draws.child("planner"),
        )

    def _air_bits(self, device: int) -> float:
        """Bits of a device's next update on the air, headers included, if no packet is lost."""
        transport = self._sim.scenario.transport
        num_bytes = -(-self._sim.learner.update_bits(device) // 8)
        return on_air_bits(num_bytes, transport.mtu_bytes, transport.header_bytes)

    def _record(self, plan: Plan, trigger: str) -> None:
        recorder, num_devices = self._sim.recorder, len(plan.cluster)
        links = [plan.links, plan.gateways]
        is_gateway = np.isin(np.arange(num_devices), plan.gateways.src)
        recorder.extend(
            "plans",
            plan=np.full(num_devices, plan.index),
            t_s=np.full(num_devices, plan.t_s),
            trigger=[trigger] * num_devices,
            device=np.arange(num_devices),
            cluster=plan.cluster,
            is_gateway=is_gateway,
            density=plan.density,
        )
        src = np.concatenate([part.src for part in links])
        with np.errstate(divide="ignore"):
            gain_db = 10 * np.log10(np.concatenate([part.mean_gain for part in links]))
        recorder.extend(
            "links",
            plan=np.full(len(src), plan.index),
            src=src,
            dst=np.concatenate([part.dst for part in links]),
            power_w=np.concatenate([part.power_w for part in links]),
            mean_gain_db=gain_db,
            predicted_delay_s=np.concatenate([part.predicted_delay_s for part in links]),
        )
