"""Fading `rician`: a line of sight of K times the power of the scattered waves beside it.

    h = sqrt(K / (K + 1)) e^(j 2 pi (D cos theta + phi)) + sqrt(1 / (K + 1)) h_scattered

E|h|^2 = 1 and Var |h|^2 = (2 K + 1) / (K + 1)^2. A link out of sight has K = 0, which is Rayleigh
fading; in a path-loss model without states of sight every link is in sight.

K is the same for all links, or each link's own, normal in dB with the mean and standard deviation
that the path-loss model gives (3GPP TR 38.901 Table 7.5-6), and then drawn once: a link keeps its
K while it moves, and has it again when it comes back in sight. (38.901 lets K vary over 10 to 15 m;
an assumption of this project.)

Under a delay profile the line of sight is in the first path, and K compares it with the scattered
waves of all paths together, as in TR 38.901 section 7.7.6. A line of sight that the profile brings
itself (TDL-D and -E) gives way to this one. The delays stay as they are, so that the rms delay
spread of a link in sight is below the profile's.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from cosim.plugin import Kind, kind_of
from cosim.rng import Draws
from cosim.units import Decibels
from cosim.world.delay_profile.base import Taps
from cosim.world.fading._link_draws import link_draws
from cosim.world.fading.base import FadingInstant, PhasedFading, path_amplitudes

_NO_K = (
    "expected a K-factor for fading 'rician', got none, and the path-loss model gives none; "
    "say `k: 9 dB`, or take a path loss that has one, such as umi or uma"
)
_PURPOSE = "rician_k"


class Rician(PhasedFading):
    """Rician fading in line of sight, Rayleigh fading out of it.

    Attributes:
        k_db: K-factor; leave it out for the distribution of the path-loss model.
        scatter: how the scattered waves fade: `rayleigh_jakes` (the default) or `rayleigh`.
    """

    k_db: Annotated[Decibels, Field(ge=-60, le=60)] | None = None
    scatter: Annotated[Any, Kind("fading")] = Field(
        default={"kind": "rayleigh_jakes"}, validate_default=True
    )

    @field_validator("scatter")
    @classmethod
    def _is_scattered(cls, scatter: Any) -> Any:
        if isinstance(scatter, PhasedFading) and not isinstance(scatter, Rician):
            return scatter
        raise PydanticCustomError(
            "scatter",
            "expected a Rayleigh fading with a phase, 'rayleigh_jakes' or 'rayleigh', got {kind}",
            {"kind": repr(kind_of(scatter))},
        )

    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """|h|^2."""
        path = self.amplitude(draws, instant, 0)
        power: NDArray[np.float64] = path.real**2 + path.imag**2
        return power

    def amplitude(
        self, draws: Draws, instant: FadingInstant, tap: int, k: ArrayLike | None = None
    ) -> NDArray[np.complex128]:
        """One path; without `k` each link has its own K."""
        scatter: PhasedFading = self.scatter
        return scatter.amplitude(draws, instant, tap, self._k(draws, instant) if k is None else k)

    def amplitudes(
        self, draws: Draws, instant: FadingInstant, taps: Taps
    ) -> NDArray[np.complex128]:
        """The paths of a profile, with the links' own line of sight in the first one."""
        k = self._k(draws, instant)
        scattered = taps.power / (taps.k + 1.0)
        scattered /= scattered.sum()
        # (K + s_0) / (K + 1) of the power is in path 0, whose own K-factor is K / s_0.
        powers = [each / (k + 1.0) for each in scattered]
        powers[0] = (k + scattered[0]) / (k + 1.0)
        factors = [k / scattered[0], *[0.0] * (scattered.size - 1)]
        return path_amplitudes(self.scatter, draws, instant, powers, factors)

    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """As the scattered waves ask for."""
        interval_s: float = self.scatter.sample_interval_s(max_doppler_hz)
        return interval_s

    def _k(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """Return the linear K-factor of each link now, broadcasts to [...]."""
        if self.k_db is not None:
            in_sight = np.asarray(10.0 ** (self.k_db / 10.0))
        elif instant.rician_k_db is not None:
            from scipy.special import ndtri  # noqa: PLC0415  scipy is slow to import

            mean_db, sigma_db = instant.rician_k_db
            u = link_draws(draws, _PURPOSE, instant.low, instant.high, 0, 1)
            in_sight = 10.0 ** ((mean_db + sigma_db * ndtri(u)) / 10.0)[..., 0]
        else:
            raise ValueError(_NO_K)
        return np.where(instant.line_of_sight(), in_sight, 0.0)
