"""Delay profile: how a channel's power is spread over the delays of its paths.

The channel at an offset f from the carrier is the sum over paths (taps) l

    H(f, t) = sum_l sqrt(p_l) h_l(t) e^(-j 2 pi f tau_l),   sum_l p_l = 1

with the h_l fading independently, each with E|h_l|^2 = 1.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin


@dataclass(frozen=True)
class Taps:
    """The paths of a channel.

    Attributes:
        delay_s: tau_l, ascending from 0, [L].
        power: p_l, linear, summing to 1, [L].
        k: Rician K-factor of each tap, linear; 0 is Rayleigh, [L].
    """

    delay_s: NDArray[np.float64]
    power: NDArray[np.float64]
    k: NDArray[np.float64]


class DelayProfile(Plugin):
    """Contract of family `delay_profile`."""

    @abstractmethod
    def taps(self) -> Taps | None:
        """Return the paths; None for a channel that is flat over the band."""
