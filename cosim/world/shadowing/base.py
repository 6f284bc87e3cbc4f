"""Shadowing: slow variation of the mean power by what stands in the way, normal in dB."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.plugin import Plugin
from cosim.rng import Draws
from cosim.world.path_loss.base import Shadow


@dataclass(frozen=True)
class ShadowingInstant:
    """Some links at some times; everything broadcasts to the shape [...].

    Attributes:
        low, high: the two ends, smaller device number first.
        travelled_m: distance that the two ends have travelled since time 0, added up, [...].
        low_xy_m, high_xy_m: positions of the ends, [..., 2].
        line_of_sight: whether each link is in line of sight now.
        law: the path-loss model's own law of shadowing; None if it has none.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    travelled_m: NDArray[np.float64]
    low_xy_m: NDArray[np.float64]
    high_xy_m: NDArray[np.float64]
    line_of_sight: ArrayLike
    law: Shadow | None


class Shadowing(Plugin):
    """Contract of family `shadowing`: a pure function of where the ends are or have been."""

    def missing_keys(self, law: Shadow | None) -> tuple[str, ...]:
        """Return the keys without which this shadowing has no law, given the path loss's own."""
        return ()

    @abstractmethod
    def loss_db(self, draws: Draws, instant: ShadowingInstant) -> NDArray[np.float64]:
        """Return the shadowing in dB, positive for a loss, shape of `instant.travelled_m`.

        Raises:
            ValueError: neither the scenario nor the path-loss model says what law it has.
        """
