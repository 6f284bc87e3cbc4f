"""Mobility `random_direction`: go in a uniform direction for a while, pause, choose anew.

The border mirrors a leg, which goes on until its travel time is over. Then position and direction
are uniform at all times (Nain, Towsley, Liu and Liu, "Properties of random direction models",
IEEE INFOCOM 2005, for rectangles; for any convex area it is Liouville's theorem on billiards).
Speed does not depend on the travel time, so at any time it has the law it was drawn with. What is
left is where in the cycle of travel and pause time 0 is, so that the start is stationary:

    position, direction : uniform
    P(paused)           = E[P] / (E[P] + E[T])
    residual travel     = u T*,  T* of density ~ t on the travel range (length-biased)
    residual pause      = u P*,  P* of density ~ p on the pause range
    speed, when moving  : uniform on its range, as every leg's
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from cosim.rng import Draws
from cosim.units import SecondsRange, SpeedRange
from cosim.world.mobility._legs import Reflected, between, length_biased, stretch_sizes
from cosim.world.mobility.base import Knots, Member, Mobility


def _lasting(travel_s: tuple[float, float]) -> tuple[float, float]:
    if travel_s[1] <= 0:
        raise PydanticCustomError(
            "travel_time_zero",
            "expected travel times above 0 s (legs of no time never get anywhere), got {most} s",
            {"most": travel_s[1]},
        )
    return travel_s


class RandomDirection(Mobility):
    """Random direction with reflection and a stationary start.

    Travel times (and not lengths) are drawn, so a least speed of 0 does no harm.

    Attributes:
        speed_mps: speed of each leg, uniform. Default: walking.
        travel_time_s: how long each leg takes, uniform. Default: an assumption of ours.
        pause_s: pause after each leg, uniform.
    """

    speed_mps: SpeedRange = (0.5, 1.5)
    travel_time_s: Annotated[SecondsRange, AfterValidator(_lasting)] = (10.0, 60.0)
    pause_s: SecondsRange = (0.0, 0.0)

    def max_speed_mps(self, member: Member) -> float:
        """The most of the speed range."""
        return self.speed_mps[1]

    def pause_probability(self) -> float:
        """Return the fraction of time that a device pauses, E[P] / (E[P] + E[T])."""
        return sum(self.pause_s) / (sum(self.pause_s) + sum(self.travel_time_s))

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield the point at time 0, then legs for ever, the first of them under way.

        Raises:
            ValueError: a leg would cross the area too often to be walked.
        """
        generator = draws.generator("random_direction", member.device)
        u = generator.random(5)
        start_m = member.area.place(u[:2])
        yield Knots(np.zeros(1), start_m[np.newaxis])
        longest_m = self.speed_mps[1] * self.travel_time_s[1]
        walker = Reflected(member.area, start_m, np.eye(2), longest_m)
        sizes = stretch_sizes()
        velocity_mps, durations_s = self._legs(generator.random((next(sizes), 4)))
        durations_s[0] = self._left_s(u[2:].tolist(), durations_s[0, 1])
        while True:
            yield self._walk(walker, velocity_mps, durations_s)
            velocity_mps, durations_s = self._legs(generator.random((next(sizes), 4)))

    def _legs(self, u: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return velocities [n, 2] and the times of travel and pause [n, 2] drawn by `u` [n, 4]."""
        angle, speed_mps = 2.0 * np.pi * u[:, 0], between(self.speed_mps, u[:, 1])
        velocity_mps = np.stack([speed_mps * np.cos(angle), speed_mps * np.sin(angle)], axis=1)
        travel_s, pause_s = between(self.travel_time_s, u[:, 2]), between(self.pause_s, u[:, 3])
        return velocity_mps, np.stack([travel_s, pause_s], axis=1)

    def _left_s(self, u: list[float], next_pause_s: float) -> tuple[float, float]:
        """Return what is left at time 0 of the first leg's travel and pause, drawn by `u` [3]."""
        paused, whole, left = u
        if paused < self.pause_probability():
            return 0.0, left * length_biased(self.pause_s, whole)
        return left * length_biased(self.travel_time_s, whole), next_pause_s

    def _walk(
        self,
        walker: Reflected,
        velocity_mps: NDArray[np.float64],
        durations_s: NDArray[np.float64],
    ) -> Knots:
        """Return the knots of legs at these velocities [n, 2] that travel and pause [n, 2]."""
        steps_m = velocity_mps * durations_s[:, :1]
        if self.pause_s[1] == 0.0:
            return walker.walk(steps_m, durations_s[:, 0])
        with_rests_m = np.stack([steps_m, np.zeros_like(steps_m)], axis=1)  # [n, 2 kinds, 2]
        return walker.walk(with_rests_m.reshape(-1, 2), durations_s.ravel())
