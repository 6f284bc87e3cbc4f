"""Mobility `random_waypoint`: go to a uniform point at a uniform speed, pause, repeat.

The start is stationary: every quantity has from time 0 on the law it has after a long time, so
there is no warm-up to cut off and the mean speed does not decay. Palm calculus gives that law
(Le Boudec and Vojnovic, "The random trip model", IEEE/ACM ToN 2006; Navidi and Camp,
"Stationary distributions for the random waypoint mobility model", IEEE TMC 2004):

    P(paused)          = E[P] / (E[P] + E[L] E[1/V]),  E[1/V] = ln(v1/v0) / (v1 - v0)
    residual pause     = u P*,  P* of density ~ p on the pause range (length-biased)
    leg, when moving   : endpoints of density ~ their distance, the place uniform on the leg
    speed, when moving : of density ~ 1/v, that is v0^(1-u) v1^u
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cosim.rng import Draws
from cosim.units import SecondsRange
from cosim.world.area.base import Area
from cosim.world.mobility._legs import LegSpeed, between, length_biased, stretch_sizes
from cosim.world.mobility.base import Knots, Member, Mobility

_CANDIDATES = 16  # legs tried at once for the stationary start; about a third is accepted


class RandomWaypoint(Mobility):
    """Random waypoint with a stationary start.

    The area must be convex, for the legs to stay in it.

    Attributes:
        speed_mps: (v0, v1), speed of each leg, uniform; v0 > 0. Default: walking.
        pause_s: (p0, p1), pause at each waypoint, uniform.
    """

    speed_mps: LegSpeed = (0.5, 1.5)
    pause_s: SecondsRange = (0.0, 0.0)

    def max_speed_mps(self, member: Member) -> float:
        """The most of the speed range."""
        return self.speed_mps[1]

    def pause_probability(self, area: Area) -> float:
        """Return the fraction of time that a device pauses, E[P] / (E[P] + E[T])."""
        v0, v1 = self.speed_mps
        mean_inverse = math.log(v1 / v0) / (v1 - v0) if v1 > v0 else 1.0 / v0
        mean_pause_s = sum(self.pause_s) / 2.0
        return mean_pause_s / (mean_pause_s + area.mean_distance_m() * mean_inverse)

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield the stationary start, then legs for ever."""
        device, area = member.device, member.area
        start = self._start(draws, device, area)
        yield start
        legs = draws.generator("random_waypoint", device)
        t_s, xy_m = start.t_s[-1:], start.xy_m[-1:]
        for num_legs in stretch_sizes():
            stretch = self._legs(legs.random((num_legs, 4)), t_s, xy_m, area)
            yield stretch
            t_s, xy_m = stretch.t_s[-1:], stretch.xy_m[-1:]

    def _legs(
        self,
        u: NDArray[np.float64],
        t_s: NDArray[np.float64],
        xy_m: NDArray[np.float64],
        area: Area,
    ) -> Knots:
        """Return the knots of the legs drawn by `u` [n, 4], from point xy_m [1, 2] at t_s [1]."""
        waypoints_m = area.place(u[:, :2])  # [n, 2]
        steps_m = np.diff(waypoints_m, axis=0, prepend=xy_m)
        travel_s = np.hypot(steps_m[:, 0], steps_m[:, 1]) / between(self.speed_mps, u[:, 2])
        if self.pause_s[1] == 0.0:
            return Knots(_add_up(t_s, travel_s), waypoints_m)
        durations_s = np.stack([travel_s, between(self.pause_s, u[:, 3])], axis=1)
        return Knots(_add_up(t_s, durations_s.ravel()), np.repeat(waypoints_m, 2, axis=0))

    def _start(self, draws: Draws, device: int, area: Area) -> Knots:
        """Return the stationary state at time 0: what is left of a pause, or of a leg and pause."""
        generator = draws.generator("random_waypoint_start", device)
        paused, phase, mark, pause = generator.random(4)
        p0, p1 = self.pause_s
        if paused < self.pause_probability(area):
            whole_pause_s = length_biased(self.pause_s, mark)
            here_m = area.place(generator.random(2))
            return Knots(np.array([0.0, phase * whole_pause_s]), np.stack([here_m, here_m]))
        v0, v1 = self.speed_mps
        origin_m, target_m = _leg_by_length(generator, area)
        here_m = origin_m + phase * (target_m - origin_m)
        speed_mps = v0 ** (1.0 - mark) * v1**mark
        arrival_s = math.dist(here_m, target_m) / speed_mps
        departure_s = arrival_s + p0 + pause * (p1 - p0)
        t_s = np.array([0.0, arrival_s, departure_s])
        num_knots = 3 if p1 > 0.0 else 2
        return Knots(t_s[:num_knots], np.stack([here_m, target_m, target_m])[:num_knots])


def _add_up(t_s: NDArray[np.float64], durations_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends of consecutive durations that start at t_s [1]."""
    return np.cumsum(np.concatenate([t_s, durations_s]))[1:]


def _leg_by_length(
    generator: np.random.Generator, area: Area
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of a leg drawn with density ~ its length: accept at length / diagonal."""
    x_min, y_min, x_max, y_max = area.extent_m()
    diagonal_m = math.hypot(x_max - x_min, y_max - y_min)
    while True:
        u = generator.random((_CANDIDATES, 5))
        origins_m, targets_m = area.place(u[:, :2]), area.place(u[:, 2:4])
        lengths_m = np.hypot(*(targets_m - origins_m).T)
        accepted = np.flatnonzero(u[:, 4] * diagonal_m < lengths_m)
        if accepted.size:
            return origins_m[accepted[0]], targets_m[accepted[0]]
