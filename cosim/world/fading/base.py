"""Small-scale fading: the power gain |h|^2 of a link around its mean, E|h|^2 = 1."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.plugin import Plugin
from cosim.rng import Draws
from cosim.world.delay_profile.base import Taps


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

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape [...] of all results."""
        if self.low.ndim == self.high.ndim == 0:  # one link, as most ask: broadcasting is slow
            return self.t_s.shape
        return np.broadcast_shapes(self.low.shape, self.high.shape, self.t_s.shape)


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
        self, draws: Draws, instant: FadingInstant, tap: int, k: ArrayLike | None = None
    ) -> NDArray[np.complex128]:
        """Return h of shape [...] of one path; `power` is |h|^2 of tap 0.

        Args:
            draws: the scenario's random numbers.
            instant: which links at which times.
            tap: number of the path; paths fade independently of each other.
            k: linear Rician K-factor of this path, broadcasts to [...]; None to use the model's
                own.
        """

    def amplitudes(
        self, draws: Draws, instant: FadingInstant, taps: Taps
    ) -> NDArray[np.complex128]:
        """Return sqrt(p_l) h_l of every path of a delay profile, [..., L].

        Args:
            draws: the scenario's random numbers.
            instant: which links at which times.
            taps: the paths; each has the K-factor that the profile gives it.
        """
        return path_amplitudes(self, draws, instant, taps.power, taps.k)


def path_amplitudes(
    fading: PhasedFading,
    draws: Draws,
    instant: FadingInstant,
    powers: Iterable[ArrayLike],
    factors: Iterable[ArrayLike],
) -> NDArray[np.complex128]:
    """Return sqrt(power) h of every path, [..., L].

    Args:
        fading: how the paths fade.
        draws: the scenario's random numbers.
        instant: which links at which times.
        powers: mean power of each path, [L] of what broadcasts to [...].
        factors: K-factor of each path, likewise.
    """
    # Every path turns with the same Doppler phase: work it out once.
    instant = replace(instant, doppler_cycles=cache(instant.doppler_cycles))
    paths = [
        np.sqrt(power) * fading.amplitude(draws, instant, tap, k)
        for tap, (power, k) in enumerate(zip(powers, factors, strict=True))
    ]
    return np.stack(paths, axis=-1)
