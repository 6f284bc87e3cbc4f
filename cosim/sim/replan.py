"""Planning again: asks the triggers, shows the planner the network, keeps the plan in force."""

import itertools
import math
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.learning.learner import Learner
from cosim.planning.planners.base import Planner
from cosim.planning.triggers.base import Trigger, TriggerView
from cosim.planning.view import Plan, PlanView
from cosim.radio.budget import noise_density_w_per_hz
from cosim.radio.packets import on_air_bits
from cosim.radio.resource_blocks import usable_band
from cosim.rng import Draws
from cosim.scenario.tree import DeviceGroup, Scenario
from cosim.units import dbm_to_watts
from cosim.world.compute.base import Work
from cosim.world.world import World


class Replanner:
    """Makes plans when triggers fire, at any time; a plan comes into force when a round begins.

    So all updates of a round are sent, weighed and aggregated under one plan. Whatever is still on
    the air when the plan changes goes on to its end.

    Args:
        env: the event loop.
        scenario: what is run.
        groups: the group of each device.
        world: positions and gains.
        learner: sizes of updates, densities and work.
        alive: whether each device takes part now; read at each plan, never written.
        on_plan: called with every new plan and the trigger's reason.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        groups: Sequence[DeviceGroup],
        world: World,
        learner: Learner,
        alive: NDArray[np.bool_],
        on_plan: Callable[[Plan, str], None],
    ) -> None:
        self._env = env
        self._scenario = scenario
        self._groups = groups
        self._world = world
        self._learner = learner
        self._alive = alive
        self._on_plan = on_plan
        self._draws = Draws(scenario.seed)
        radios = [group.radio for group in groups]
        # One stretch of devices for each group.
        sizes = [len(list(members)) for _, members in itertools.groupby(groups, key=id)]
        first = np.cumsum([0, *sizes])
        self._stretches = [np.arange(*ends) for ends in itertools.pairwise(first)]
        self._max_power_w = np.array([dbm_to_watts(radio.tx_power_dbm) for radio in radios])
        self._noise_w_per_hz = noise_density_w_per_hz(
            scenario.spectrum.noise_density_dbm_per_hz,
            [radio.noise_figure_db for radio in radios],
        )
        self._bandwidth_hz, _ = usable_band(scenario.spectrum)
        self._planner: Planner = scenario.topology.planner
        self._triggers: tuple[Trigger, ...] = scenario.topology.triggers
        self._newest: Plan | None = None
        self._in_force: Plan | None = None
        self._round = 0

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        assert self._in_force is not None, "the first round plans before anything else"
        return self._in_force

    @property
    def num_plans(self) -> int:
        """How many plans were made, in force or not yet."""
        return 0 if self._newest is None else self._newest.index + 1

    def begin_round(self, round: int) -> None:
        """Ask the triggers; bring the newest plan into force. The first round always has one."""
        self._round = round
        reason = self._ask(round_begins=True)
        if reason is None and self._newest is None:
            reason = "first round"
        if reason is not None:
            self._replan(reason)
        self._in_force = self._newest

    def watch(self) -> Generator[simpy.Event, object, None]:
        """Ask each trigger at the times that it names, until there are none."""
        env = self._env
        while True:
            next_s = min(
                (trigger.next_check_s(env.now) for trigger in self._triggers), default=math.inf
            )
            if math.isinf(next_s):
                return
            yield env.timeout(next_s - env.now)
            reason = self._ask(round_begins=False) if self._newest is not None else None
            if reason is not None:
                self._replan(reason)

    def _ask(self, *, round_begins: bool) -> str | None:
        now_s = float(self._env.now)
        view = TriggerView(
            t_s=now_s,
            round=self._round,
            round_begins=round_begins,
            plan=self._newest,
            alive=self._alive.copy(),
            mean_gain=lambda src, dst: self._world.mean_gain(src, dst, now_s),
        )
        reasons = (trigger.reason(view) for trigger in self._triggers)
        return next((reason for reason in reasons if reason is not None), None)

    def _replan(self, trigger: str) -> None:
        self._newest = self._planner.plan(self.view())
        self._on_plan(self._newest, trigger)

    def view(self) -> PlanView:
        """Return the state of the network now, as a planner sees it."""
        scenario, now_s = self._scenario, float(self._env.now)
        low, high = self._world.neighbours(now_s, scenario.channel.range_m)
        both_alive = self._alive[low] & self._alive[high]
        low, high = low[both_alive], high[both_alive]
        forecast = self._learner.forecast()
        return PlanView(
            t_s=now_s,
            round=self._round,
            index=self.num_plans,
            alive=self._alive.copy(),
            low=low,
            high=high,
            mean_gain=self._world.mean_gain(low, high, now_s),
            max_power_w=self._max_power_w,
            noise_w_per_hz=self._noise_w_per_hz,
            bandwidth_hz=self._bandwidth_hz,
            shared_by=scenario.spectrum.domain,
            rate=scenario.link.rate,
            payload_bits=self._air_bits(forecast.update_bits),
            density=forecast.density,
            compute_s=self._compute_s(forecast.work),
            draws=self._draws.child("planner"),
            data_root=Path(scenario.data_root),
        )

    def _air_bits(self, update_bits: NDArray[np.int64]) -> NDArray[np.float64]:
        """Bits of each next update on the air, headers included, if no packet is lost, [N]."""
        transport = self._scenario.transport
        sizes, which = np.unique(-(-update_bits // 8), return_inverse=True)
        on_air = [
            on_air_bits(num_bytes, transport.mtu_bytes, transport.header_bytes)
            for num_bytes in sizes.tolist()
        ]
        return np.array(on_air)[which]

    def _compute_s(self, work: Work) -> NDArray[np.float64]:
        """Modelled time of each device's next training, [N]."""
        time_s = np.empty(len(self._groups))
        for devices in self._stretches:
            compute = self._groups[devices[0]].compute
            time_s[devices] = compute.time_s(self._draws, devices, work.taken(devices))
        return time_s
