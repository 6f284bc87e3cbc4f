"""The world: where devices are and what the channel between any two is, at any time.

    gain g = 10^(-PL / 10) |h|^2          (physics: link budget)

A pure function of time: positions and gains can be asked for any t, in arrays, any number of
times and in any order, and never change.

Powers and logarithms are taken of arrays only: of a NumPy scalar they go through another library
and can differ in the last bit.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.rng import Draws
from cosim.world.area.base import Area
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.doppler import DopplerPhases
from cosim.world.fading.base import Fading, FadingInstant
from cosim.world.mobility.base import Mobility
from cosim.world.path_loss.base import Geometry, PathLoss
from cosim.world.paths import Paths

# A link's distance changes by at most this much between two channel samples, so that the mean
# gain is followed too where the fading is slow or none: 0.9 dB at 10 m with exponent 2. An
# assumption of this project.
MEAN_GAIN_STEP_M = 1.0


class World:
    """Positions and channel gains of all devices.

    Times are seconds from 0 on, devices are numbers from 0 on. Anything else raises ValueError.
    A link of a device to itself has distance 0.

    Args:
        draws: the scenario's random numbers.
        area: where devices may be.
        mobilities: the mobility model of each device, in device order.
        path_loss: mean loss by distance.
        fading: small-scale fading around that mean.
        carrier_hz: carrier frequency.
        sample_interval_s: how often the channel is sampled, or None to let the fading say.
    """

    def __init__(
        self,
        draws: Draws,
        area: Area,
        mobilities: Sequence[Mobility],
        path_loss: PathLoss,
        fading: Fading,
        carrier_hz: float,
        sample_interval_s: float | None = None,
    ) -> None:
        for name, value in (("carrier_hz", carrier_hz), ("sample_interval_s", sample_interval_s)):
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        self.area = area
        self.carrier_hz = carrier_hz
        self._draws = draws
        self._mobilities = tuple(mobilities)
        self._path_loss = path_loss
        self._fading = fading
        self._sample_interval_s = sample_interval_s
        self._paths = Paths(draws, area, self._mobilities)
        self._phases = DopplerPhases(self._paths, self.wavelength_m)

    @property
    def num_devices(self) -> int:
        """How many devices there are."""
        return len(self._mobilities)

    @property
    def wavelength_m(self) -> float:
        """Speed of light / carrier."""
        return SPEED_OF_LIGHT_MPS / self.carrier_hz

    def positions_m(self, t_s: float) -> NDArray[np.float64]:
        """Return the positions of all devices at `t_s`, [num_devices, 2]."""
        return self._paths.at(np.arange(self.num_devices), _times(t_s))

    def tracks_m(self, devices: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return positions [..., 2]; `devices` and `t_s` broadcast to [...]."""
        return self._paths.at(self._devices(devices), _times(t_s))

    def distance_m(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return link distances; arguments broadcast."""
        apart_m = self.tracks_m(src, t_s) - self.tracks_m(dst, t_s)
        distance_m: NDArray[np.float64] = np.hypot(apart_m[..., 0], apart_m[..., 1])
        return distance_m

    def mean_gain(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the linear power gain averaged over fading; arguments broadcast."""
        distance_m = np.asarray(self.distance_m(src, dst, t_s))
        geometry = Geometry(np.atleast_1d(distance_m), self.carrier_hz)
        gain: NDArray[np.float64] = 10.0 ** (self._path_loss.loss_db(geometry) / -10.0)
        return gain.reshape(distance_m.shape)

    def gain(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the linear power gain with fading; arguments broadcast.

        `gain(i, j, t) == gain(j, i, t)`.
        """
        low, high = self._links(src, dst)
        mean_gain = np.asarray(self.mean_gain(low, high, t_s))
        times_s = np.atleast_1d(_times(t_s))
        instant = FadingInstant(low, high, times_s, lambda: self._phases.cycles(low, high, times_s))
        power = self._fading.power(self._draws, instant)
        return np.asarray(mean_gain * power.reshape(mean_gain.shape))

    def doppler_cycles(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the integral of |v_i - v_j| / wavelength from time 0; arguments broadcast."""
        return self._phases.cycles(*self._links(src, dst), _times(t_s))

    def sample_interval_s(self, src: int, dst: int) -> float:
        """Return the link's channel sampling interval; samples are at its whole multiples.

        Infinity if the channel never changes. Without an interval given, it is the fading's,
        or the whole part of it in which the distance changes by at most MEAN_GAIN_STEP_M.
        """
        if self._sample_interval_s is not None:
            return self._sample_interval_s
        low, high = self._links(src, dst)
        speeds_mps = (self._mobilities[end.item()].max_speed_mps for end in (low, high))
        speed_mps = sum(speeds_mps) if low != high else 0.0
        fading_s = self._fading.sample_interval_s(speed_mps / self.wavelength_m)
        if speed_mps == 0.0:
            return fading_s
        step_s = MEAN_GAIN_STEP_M / speed_mps
        return step_s if math.isinf(fading_s) else fading_s / math.ceil(fading_s / step_s)

    def neighbours(self, t_s: float, range_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (low[E], high[E]), the pairs at most `range_m` apart, sorted; by k-d tree."""
        from scipy.spatial import cKDTree  # noqa: PLC0415  scipy is slow to import

        pairs = cKDTree(self.positions_m(t_s)).query_pairs(range_m, output_type="ndarray")
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        low, high = pairs[order].astype(np.int64).T
        return low, high

    def _links(self, src: ArrayLike, dst: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ends, smaller number first, so that a channel is the same both ways."""
        ends = self._devices(src), self._devices(dst)
        return np.asarray(np.minimum(*ends)), np.asarray(np.maximum(*ends))

    def _devices(self, numbers: ArrayLike) -> NDArray[np.int64]:
        devices = np.asarray(numbers, dtype=np.int64)
        if devices.size and not 0 <= devices.min() <= devices.max() < self.num_devices:
            worst = devices.max() if devices.max() >= self.num_devices else devices.min()
            raise ValueError(f"expected devices 0 to {self.num_devices - 1}, got {worst}")
        return devices


def _times(t_s: ArrayLike) -> NDArray[np.float64]:
    times_s = np.asarray(t_s, dtype=np.float64)
    if times_s.size and not (times_s.min() >= 0.0 and times_s.max() < math.inf):
        wrong = times_s[~(np.isfinite(times_s) & (times_s >= 0.0))].flat[0]
        raise ValueError(f"expected finite times from 0 s on, got {wrong} s")
    return times_s
