"""Mobility `gauss_markov`: velocity remembers itself from step to step.

Liang and Haas, "Predictive distance-based mobility management for multidimensional PCS networks"
(IEEE/ACM ToN 2003), for each component of the velocity in the device's own axes:

    v' = a v + (1 - a) mu + sqrt(1 - a^2) sigma N,   N ~ N(0, 1)

with mu = (mean speed, 0): the device's first axis is the way that it goes on average, and sigma
is what each component deviates by. v starts from N(mu, sigma^2), so that this is its law at every
step, and two velocities k steps apart are correlated by a^k. With a = 1 a velocity is kept for
ever; with a = 0 each is new.

The axes start at a uniform angle, and the border mirrors the axes with the walk. That changes
nothing in the law of v, which is the velocity in the device's axes, and keeps the position uniform
at all times (see `Area.reflect`). In the axes of the plane, a border met between two steps turns
the later velocity over, as a wall does.

A Gaussian has no bound and Doppler needs one: a velocity v is walked at the speed
min(|v|, mean speed + 4 sigma) in its direction. That shortens less than exp(-8) = 0.034 % of the
steps. The process v goes on unshortened, so the correlation of v is exact.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from cosim.rng import Draws
from cosim.units import MetresPerSecond, Seconds
from cosim.world.mobility._legs import Reflected, rotation, stretch_sizes
from cosim.world.mobility.base import Knots, Member, Mobility

_BOUND_SIGMAS = 4.0


class GaussMarkov(Mobility):
    """Gauss-Markov velocity in the device's own axes, mirrored at the border, stationary start.

    Attributes:
        mean_speed_mps: mu, how fast the device goes the way that it goes on average. Default:
            walking.
        deviation_mps: sigma, standard deviation of each of the two components of its velocity.
        memory: a, correlation of velocities that are a step apart. Default: 0.75 (Camp, Boleng
            and Davies, "A survey of mobility models for ad hoc network research", WCMC 2002).
        step_s: how long a velocity is kept. Default: 1 s, as there.
    """

    mean_speed_mps: Annotated[MetresPerSecond, Field(ge=0)] = 1.0
    deviation_mps: Annotated[MetresPerSecond, Field(ge=0)] = 0.5
    memory: Annotated[float, Field(ge=0, le=1)] = 0.75
    step_s: Annotated[Seconds, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _moves(self) -> "GaussMarkov":
        if self.mean_speed_mps == 0.0 and self.deviation_mps == 0.0:
            raise PydanticCustomError(
                "no_speed",
                "expected a mean_speed or a deviation above 0 m/s, got 0 m/s for both; "
                "devices that stay are {{kind: static}}",
            )
        return self

    def max_speed_mps(self, member: Member) -> float:
        """Mean speed + 4 sigma, which no step exceeds."""
        return self.mean_speed_mps + _BOUND_SIGMAS * self.deviation_mps

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield the point at time 0, then steps for ever.

        Raises:
            ValueError: a step would cross the area too often to be walked.
        """
        generator = draws.generator("gauss_markov", member.device)
        u = generator.random(3)
        start_m = member.area.place(u[:2])
        yield Knots(np.zeros(1), start_m[np.newaxis])
        most_mps = self.max_speed_mps(member)
        walker = Reflected(member.area, start_m, rotation(float(u[2])), most_mps * self.step_s)
        # (v - mu) / sigma, of which every step has the law N(0, 1).
        state = generator.standard_normal(2)
        for size in stretch_sizes():
            states = np.vstack([state, self._remember(state, generator, size)])
            state = states[-1]
            velocity_mps = (self.mean_speed_mps, 0.0) + self.deviation_mps * states[:-1]
            speed_mps = np.hypot(velocity_mps[:, 0], velocity_mps[:, 1])
            shortened = most_mps / np.maximum(speed_mps, most_mps)
            steps_m = velocity_mps * (shortened * self.step_s)[:, np.newaxis]
            yield walker.walk(steps_m, np.full(size, self.step_s))

    def _remember(
        self, state: NDArray[np.float64], generator: np.random.Generator, size: int
    ) -> NDArray[np.float64]:
        """Return the `size` states after `state` [2], [size, 2].

        x_n is the sum over m <= n of a^(n - m) w_m. Adding a^s times the sum s places before, for
        s = 1, 2, 4, ..., doubles how many terms each sum has, without a loop over the steps.
        """
        a = self.memory
        sums: NDArray[np.float64] = generator.standard_normal((size, 2)) * np.sqrt(1.0 - a * a)
        sums[0] += a * state
        shift = 1
        while shift < size:
            sums[shift:] += a**shift * sums[:-shift]
            shift *= 2
        return sums
