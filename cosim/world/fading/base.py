"""Small-scale fading: the power gain |h|^2 of a link around its mean, E|h|^2 = 1."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.plugin import Plugin
from cosim.rng import Draws


@dataclass(frozen=True)
class FadingInstant:
    """Which links at which times; `low`, `high` and `t_s` broadcast to one shape [...].

    Attributes:
        low, high: the two ends of each link, the smaller number first, so that a channel is the
            same in both directions.
        t_s: times.
        doppler_cycles: returns for each the Doppler phase in cycles since time 0, the integral
            of f_d = |v_i - v_j| / wavelength; shape [...]. A function, because not every model
            needs it and it costs something.
        line_of_sight: returns whether each link is in line of sight, broadcasts to [...].
        rician_k_db: what the path-loss model says of the K-factor in line of sight: mean and
            standard deviation in dB.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    t_s: NDArray[np.float64]
    doppler_cycles: Callable[[], NDArray[np.float64]]
    line_of_sight: Callable[[], ArrayLike] = lambda: True
    rician_k_db: tuple[float, float] | None = None


class Fading(Plugin):
    """Contract of family `fading`: a pure function of time, by addressed randomness."""

    @abstractmethod
    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """Return |h|^2 of shape [...]."""

    @abstractmethod
    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """Return how often the channel must be sampled; infinity if it does not change.

        Args:
            max_doppler_hz: the largest Doppler shift that two devices can have; 0 if none moves.
        """


class PhasedFading(Fading):
    """Fading that has a phase, as the paths of a frequency-selective channel need it."""

    @abstractmethod
    def amplitude(
        self, draws: Draws, instant: FadingInstant, tap: int, k: float | None = None
    ) -> NDArray[np.complex128]:
        """Return h of shape [...] of one path; `power` is |h|^2 of tap 0.

        Args:
            draws: the scenario's random numbers.
            instant: which links at which times.
            tap: number of the path; paths fade independently of each other.
            k: linear Rician K-factor of this path; None to use the model's own.
        """
