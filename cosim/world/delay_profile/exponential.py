"""Delay profile `exponential`: power that decays exponentially with delay.

    p(tau) ~ e^(-tau / T),   correlation over frequency  R(f) = 1 / (1 + j 2 pi f T)

T is the rms delay spread. The paths are `paths` equal steps apart, the last one 30 dB below the
first; the step is such that the rms delay spread of them is T, exactly. Their powers are
normalised to sum to 1.

Equal steps repeat in frequency: |R(f)| of the paths is that of the formula to within 0.01 up to
f T = (paths - 1) / 48, 0.035 up to (paths - 1) / 24, 0.08 up to (paths - 1) / 14, and rises again
towards 1 at f T = (paths - 1) / 7.1. So 24 paths serve a band of 1.6 / T, 16 MHz at 100 ns;
a wider band wants more.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.units import Seconds
from cosim.world.delay_profile.base import DelayProfile, Taps

_LAST_DB = -30.0  # an assumption of this project


class Exponential(DelayProfile):
    """Exponentially decaying power, all paths Rayleigh fading.

    Attributes:
        delay_spread_s: rms delay spread T. The default is the nominal one of 3GPP TR 38.901
            Table 7.7.3-1, 100 ns.
        paths: how many; a channel sample costs as much as so many flat ones.
    """

    delay_spread_s: Annotated[Seconds, Field(gt=0)] = 100e-9
    paths: Annotated[int, Field(ge=2, le=1000)] = 24

    def taps(self) -> Taps:
        """`paths` equal steps of delay."""
        step = np.arange(self.paths)
        power = 10.0 ** (_LAST_DB / 10.0 * step / (self.paths - 1))
        power /= power.sum()
        spread_steps = np.sqrt(power @ step**2 - (power @ step) ** 2)
        delay_s = step * (self.delay_spread_s / spread_steps)
        return Taps(delay_s, power, np.zeros(self.paths))
