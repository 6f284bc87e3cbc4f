"""Deadline: as dense as a device's limits of computing and sending let it be, P1's (7) and (10).

    (7)   alpha d Q |D| / B                                  <= C_max
    (10)  Q(d) / ((W / |u_i|) log2(1 + p g / noise))         <= Gamma    on its slowest link

Both left sides never fall with the density d, so each device's density is the greatest that meets
both. Where compute goes by operations, those of the frozen model are spent at any density.
"""

from collections.abc import Iterator
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from cosim.planning.airtime import Floats
from cosim.planning.controllers.base import Control, Controller, ControlView
from cosim.planning.view import Bools
from cosim.units import Seconds

Density = Annotated[float, Field(ge=1e-4, le=1)]

_NAMED = 20  # as many devices are named at most
_ROUNDING = 1.0 + 1e-9  # so that what fills a limit exactly is within it


class Deadline(Controller):
    """Each device's greatest density within its limits; a limit that is left out is none.

    The links of a band share it equally, and each has the noise of its share, as in (10).

    Attributes:
        max_compute_s: C_max, of the local training.
        max_delay_s: Gamma, of each link.
        min_density: what a device has that meets a limit at no density (own choice).
        max_density: what one has that meets both at any.
    """

    max_compute_s: Annotated[Seconds, Field(gt=0)] | None = None
    max_delay_s: Annotated[Seconds, Field(gt=0)] | None = None
    min_density: Density = 0.01
    max_density: Density = 1.0

    @model_validator(mode="after")
    def _densities_are_in_order(self) -> Self:
        if self.max_compute_s is None and self.max_delay_s is None and self.max_density == 1.0:
            raise ValueError(
                "expected max_delay or max_compute, without which every device sends all that it "
                "has, got neither; give one, or a max_density below 1"
            )
        if self.min_density > self.max_density:
            raise ValueError(
                f"expected min_density of at most max_density, {self.max_density:g}, got "
                f"{self.min_density:g}"
            )
        return self

    def control(self, view: ControlView) -> Control:
        """Return the greatest densities, and equal shares."""
        links, share = view.links, view.links.equal_shares()
        rate_bps = links.rate_bps(share, "share")
        computing, sending = self._computing(view), self._sending(view, rate_bps)
        density = np.minimum(computing, sending)
        delay_s = links.delay_s(view.bits.at(density)[links.src], share, "share")
        return Control(
            density=density,
            weight=share,
            delay_s=delay_s,
            queue_s=0.0,
            reasons=tuple(self._reasons(view, computing, sending, delay_s)),
        )

    def _computing(self, view: ControlView) -> Floats:
        """Return the greatest densities that meet (7), [N]."""
        if self.max_compute_s is None:
            return np.full(view.density.shape, self.max_density)
        grows_s = view.compute_s - view.least_compute_s
        room_s = self.max_compute_s - view.least_compute_s
        any_or_none = np.where(room_s >= 0.0, np.inf, -np.inf)
        density = np.divide(room_s, grows_s, out=any_or_none, where=grows_s > 0.0)
        return np.clip(density, self.min_density, self.max_density)

    def _sending(self, view: ControlView, rate_bps: Floats) -> Floats:
        """Return the greatest densities that meet (10), [N]."""
        if self.max_delay_s is None:
            return np.full(view.density.shape, self.max_density)
        slowest_bps = np.full(view.density.shape, np.inf)
        np.minimum.at(slowest_bps, view.links.src, rate_bps)
        most_bits = self.max_delay_s * slowest_bps
        return view.bits.greatest_density(most_bits, self.min_density, self.max_density)

    def _reasons(
        self, view: ControlView, computing: Floats, sending: Floats, delay_s: Floats
    ) -> Iterator[str]:
        density = np.minimum(computing, sending)
        over_compute, over_delay = np.zeros((2, *density.shape), dtype=np.bool_)
        if self.max_compute_s is not None:
            grows_s = view.compute_s - view.least_compute_s
            takes_s = view.least_compute_s + density * grows_s
            over_compute = takes_s > self.max_compute_s * _ROUNDING
        if self.max_delay_s is not None:
            over_delay[view.links.src[delay_s > self.max_delay_s * _ROUNDING]] = True
        for most, over, limit in (
            (computing, over_compute, "max_compute"),
            (sending, over_delay, "max_delay"),
        ):
            bounded = (most == density) & (most < self.max_density) & ~over
            if bounded.any():
                yield f"{limit} bounds the density of {_named(bounded)}"
            if over.any():
                yield f"over {limit} even at the least density: {_named(over)}"


def _named(which: Bools) -> str:
    """Return the devices as a person reads them: named if few, else counted."""
    devices = np.flatnonzero(which).tolist()
    if len(devices) > _NAMED:
        return f"{len(devices)} devices"
    return f"device{'s' * (len(devices) > 1)} {', '.join(map(str, devices))}"
