"""Shadowing `none`: the mean power is that of the path loss."""

import numpy as np
from numpy.typing import NDArray

from cosim.rng import Draws
from cosim.world.shadowing.base import Shadowing, ShadowingInstant


class NoShadowing(Shadowing):
    """No shadowing."""

    def loss_db(self, draws: Draws, instant: ShadowingInstant) -> NDArray[np.float64]:
        """Zeros."""
        return np.zeros(np.shape(instant.travelled_m))
