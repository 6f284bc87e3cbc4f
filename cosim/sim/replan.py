"""Planning again: asks the triggers, shows the planner the network, keeps the plan in force."""

import math
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import simpy
from numpy.typing import NDArray

from cosim.learning.learner import Learner
from cosim.planning.hysteresis import settle
from cosim.planning.planners.base import Planner
from cosim.planning.triggers.base import Trigger, TriggerView
from cosim.planning.view import Plan, PlanView
from cosim.rng import Draws
from cosim.scenario.tree import Scenario
from cosim.sim.foresight import Foresight
from cosim.world.world import World


class Replanner:
    """Makes plans when triggers fire, at any time, and says which one is in force.

    With `in_flight: finish` a plan comes into force when a round begins, so that all updates of a
    round are sent, weighed and aggregated under one plan. With `abort` and `migrate` it does the
    instant it is made.

    Args:
        env: the event loop.
        scenario: what is run.
        foresight: powers, noise, sizes on the air, training times.
        world: positions and gains.
        learner: sizes of updates, densities and work.
        alive: whether each device takes part now; read at each plan, never written.
        on_plan: called with every new plan and the trigger's reason.
        on_kept: called with why all or parts of the plan before were kept.
        on_force: called when a plan has come into force, with the one before; None for the first.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        foresight: Foresight,
        world: World,
        learner: Learner,
        alive: NDArray[np.bool_],
        on_plan: Callable[[Plan, str], None],
        on_kept: Callable[[str], None],
        on_force: Callable[[Plan | None], None],
    ) -> None:
        self._env = env
        self._scenario = scenario
        self._world = world
        self._learner = learner
        self._alive = alive
        self._on_plan = on_plan
        self._on_kept = on_kept
        self._on_force = on_force
        self._draws = Draws(scenario.seed)
        self._foresight = foresight
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
        self._bring_into_force()

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
        view, least = self.view(), self._scenario.topology.min_improvement
        plan, kept = self._planner.plan(view), None
        if least is not None:
            plan, kept = settle(self._planner, view, plan, least)
        self._newest = plan
        self._on_plan(plan, trigger)
        if kept is not None:
            self._on_kept(f"{trigger}: {kept}")
        if self._in_force is not None and self._scenario.topology.in_flight != "finish":
            self._bring_into_force()

    def _bring_into_force(self) -> None:
        if self._newest is self._in_force:
            return
        before, self._in_force = self._in_force, self._newest
        self._on_force(before)

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
            max_power_w=self._foresight.max_power_w,
            noise_w_per_hz=self._foresight.noise_w_per_hz,
            bandwidth_hz=self._foresight.bandwidth_hz,
            shared_by=scenario.spectrum.domain,
            rate=scenario.link.rate,
            payload_bits=self._foresight.air_bits(forecast.update_bits),
            density=forecast.density,
            compute_s=self._foresight.compute_s(np.arange(len(self._alive)), forecast.work),
            draws=self._draws.child("planner"),
            data_root=Path(scenario.data_root),
            servers=tuple(sorted(scenario.servers)),
            previous=self._newest,
        )
