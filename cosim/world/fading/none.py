"""Fading `none`: |h|^2 = 1, the gain is the mean gain."""

import math

import numpy as np
from numpy.typing import NDArray

from cosim.rng import Draws
from cosim.world.fading.base import Fading, FadingInstant


class NoFading(Fading):
    """No small-scale fading."""

    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """Ones."""
        shapes = (instant.low.shape, instant.high.shape, instant.t_s.shape)
        return np.ones(np.broadcast_shapes(*shapes))

    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """Never."""
        return math.inf
