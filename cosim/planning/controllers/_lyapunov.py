"""Density by drift plus penalty: the online stage of P3.

A virtual queue counts by how much rounds have taken longer than they should on average:

    Z <- max(Z + tau - tau_bar, 0)

In each round the density d = 1 - O that all devices have minimises

    V a_S r phi(d) + Z tau(d),    phi(d) = (1 - d) / d^2  ( = O / (1 - O)^2 )

the error that sparsification adds to P3's bound against the time that the round will take, which is
c (1 - O) with c = (q r D / W) sum x where updates are values only. As Z grows by at least
tau - tau_bar in every round, after T rounds

    mean tau <= tau_bar + Z_T / T

whatever the channels were; and Z stays bounded as long as the least density takes less than
tau_bar on average. That no density does under Rayleigh fading that lasts for a whole round, as
E 1 / g is infinite there: what a controller sees should be averaged over fading. A large V holds
densities up until Z has grown: the error comes nearer the least that there can be, the mean of tau
takes longer to come down. The links have the shares with which all are done at once (Lemma 2).
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from cosim.planning.airtime import Floats, Noise, RoundTime
from cosim.planning.controllers.base import Control, Controller, ControlView, as_weight
from cosim.units import Seconds

Positive = Field(gt=0)
Density = Annotated[float, Field(ge=1e-4, le=1)]

# Where positions cost bits the cost may have two minima: the search begins in the best cell.
_NUM_CELLS = 64


class LyapunovController(Controller):
    """Densities that keep the mean time of a round within a limit.

    Attributes:
        mean_delay_s: tau_bar. P3 does not print it; 0.2 s is assumed.
        v: V in units of tau_bar^2, so that it has no unit. Own choice: over 1,500 rounds of four
            links that fade (rank 8, a third sent) the mean error is 4 times the least with 0.01,
            8 % above it with 0.1 and 1 % with 1; the queue is worth 1.2, 1.5 and 13 tau_bar.
        a_sparsity: a_S of the surrogate bound. P3 leaves its constants open.
        min_density, max_density: 1 - O_max and 1 - O_min.
        noise: over each link's `share` of the band, as links are simulated, or over the `band`, as
            P3 has it.
    """

    follows_delay: ClassVar[bool] = True

    mean_delay_s: Annotated[Seconds, Positive] = 0.2
    v: Annotated[float, Positive] = 0.1
    a_sparsity: Annotated[float, Positive] = 0.1
    min_density: Density = 0.05
    max_density: Density = 1.0
    noise: Noise = "share"

    @model_validator(mode="after")
    def _densities_are_in_order(self) -> Self:
        if self.min_density > self.max_density:
            raise ValueError(
                f"expected min_density of at most max_density, {self.max_density:g}, got "
                f"{self.min_density:g}"
            )
        return self

    @property
    def needs_weights(self) -> bool:
        return True

    def control(self, view: ControlView) -> Control:
        """Return one density for all, and the shares with which all links are done at once."""
        queue_s = self._queue_s(view)
        round_time = RoundTime(view.links, view.bits, self.noise)
        density = self._density(view.rank, queue_s, round_time)
        share = round_time.shares(np.array([density]))[0]
        bits = view.bits.at(density)[view.links.src]
        delay_s = view.links.delay_s(bits, share, self.noise)
        will_take_s = view.links.round_s(bits, share, self.noise)
        reasons = [
            f"density {density:.4g}: a queue of {queue_s:.4g} s over a mean of "
            f"{self.mean_delay_s:g} s; the round is to take {will_take_s:.4g} s"
        ]
        num_silent = int(np.isinf(delay_s).sum())
        if num_silent:
            reasons.append(f"{num_silent} of {len(share)} links have no rate, and nobody waits")
        return Control(
            density=np.full(view.density.shape, density),
            weight=as_weight(share),
            delay_s=delay_s,
            queue_s=queue_s,
            reasons=tuple(reasons),
        )

    def _queue_s(self, view: ControlView) -> float:
        before_s = 0.0 if view.previous is None else view.previous.queue_s
        if view.delay_s is None:
            return before_s
        return max(before_s + view.delay_s - self.mean_delay_s, 0.0)

    def _density(self, rank: int, queue_s: float, round_time: RoundTime) -> float:
        """Return the density that minimises drift plus penalty."""
        error_weight = self.v * self.mean_delay_s**2 * self.a_sparsity * rank

        def cost(density: Floats) -> Floats:
            time = queue_s * round_time.s(density) if queue_s > 0.0 else 0.0
            return error_weight * sparsification_error(density) + time

        return least(cost, self.min_density, self.max_density)


def sparsification_error(density: Floats) -> Floats:
    """Return phi = (1 - d) / d^2: how the bound of P3 grows as less is sent, convex in d."""
    return (1.0 - density) / density**2


def least(cost: Callable[[Floats], Floats], low: float, high: float) -> float:
    """Return where a function [K] -> [K] is least between two numbers above 0, ends included."""
    at = np.geomspace(low, high, _NUM_CELLS + 1)
    at[0], at[-1] = low, high
    values = cost(at)
    best = int(np.argmin(values))
    ends = at[max(best - 1, 0)], at[min(best + 1, _NUM_CELLS)]
    if not ends[0] < ends[1] or not np.isfinite(values[best]):
        return float(at[best])
    from scipy.optimize import minimize_scalar  # noqa: PLC0415  scipy is slow to import

    found = minimize_scalar(
        lambda d: float(cost(np.array([d]))[0]),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(found.x if found.fun < values[best] else at[best])
