"""The world: where devices are and what the channel between any two is, at any time.

    gain g = 10^(-PL / 10) |h|^2          (physics: link budget)

A pure function of time: positions and gains can be asked for any t, in arrays, any number of
times and in any order, and never change.

Powers and logarithms are taken of arrays only: of a NumPy scalar they go through another library
and can differ in the last bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.rng import Draws
from cosim.world.area.base import Area
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.delay_profile.base import DelayProfile
from cosim.world.delay_profile.flat import Flat
from cosim.world.doppler import DopplerPhases
from cosim.world.fading.base import Fading, FadingInstant, PhasedFading
from cosim.world.fading.none import NoFading
from cosim.world.link_process import link_process
from cosim.world.mobility.base import Member, Mobility
from cosim.world.path_loss.base import Geometry, PathLoss
from cosim.world.paths import Paths
from cosim.world.shadowing.base import Shadowing, ShadowingInstant
from cosim.world.shadowing.none import NoShadowing

# A link's distance changes by at most this much between two channel samples, so that the mean
# gain is followed too where the fading is slow or none: 0.9 dB at 10 m with exponent 2. An
# assumption of this project.
MEAN_GAIN_STEP_M = 1.0


@dataclass(frozen=True)
class ChannelModels:
    """What a signal meets on its way.

    Attributes:
        path_loss: mean loss by distance and state of sight.
        fading: small-scale fading around the mean.
        shadowing: slow variation of the mean.
        delay_profile: how the fading varies over the band.
        carrier_hz: carrier frequency.
        sample_interval_s: how often the channel is sampled; None lets the models say.
    """

    path_loss: PathLoss
    fading: Fading = field(default_factory=NoFading)
    shadowing: Shadowing = field(default_factory=NoShadowing)
    delay_profile: DelayProfile = field(default_factory=Flat)
    carrier_hz: float = 3.5e9
    sample_interval_s: float | None = None


@dataclass(frozen=True)
class Body:
    """A device as the world sees it.

    Attributes:
        mobility: how it moves.
        height_m: height of its antenna above ground.
        index, count: its number in its group, and how many the group has.
        group: its group's number.
    """

    mobility: Mobility
    height_m: float = 1.5
    index: int = 0
    count: int = 1
    group: int = 0


class World:
    """Positions and channel gains of all devices.

    Times are seconds from 0 on, devices are numbers from 0 on. Anything else raises ValueError.
    A link of a device to itself has distance 0.

    Args:
        draws: the scenario's random numbers.
        area: where devices may be.
        bodies: the devices, in order.
        channel: what a signal meets on its way.
        data_root: the folder that files of traces and of measured gains are looked up in.
    """

    def __init__(
        self,
        draws: Draws,
        area: Area,
        bodies: Sequence[Body],
        channel: ChannelModels,
        data_root: Path = Path(),
    ) -> None:
        for name in ("carrier_hz", "sample_interval_s"):
            value = getattr(channel, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        self.area = area
        self.carrier_hz = channel.carrier_hz
        self._draws = draws
        self._channel = channel
        self._data_root = data_root
        self._height_m = np.array([body.height_m for body in bodies])
        members = [
            Member(device, body.index, body.count, body.group, area, data_root)
            for device, body in enumerate(bodies)
        ]
        mobilities = [body.mobility for body in bodies]
        both = list(zip(mobilities, members, strict=True))
        self._max_speed_mps = np.array(
            [mobility.max_speed_mps(member) for mobility, member in both]
        )
        presence_s = [mobility.presence_s(member) for mobility, member in both]
        self._enter_s = np.array([enter_s for enter_s, _ in presence_s])
        self._leave_s = np.array([leave_s for _, leave_s in presence_s])
        self._paths = Paths(draws, mobilities, members)
        self._phases = DopplerPhases(self._paths, self.wavelength_m)
        self._taps = channel.delay_profile.taps()
        if self._taps is not None and not isinstance(channel.fading, PhasedFading):
            raise ValueError(
                "expected a fading with a phase (rayleigh, rayleigh_jakes, rician) under a delay "
                f"profile, got {type(channel.fading).__name__}"
            )

    @property
    def num_devices(self) -> int:
        """How many devices there are."""
        return len(self._height_m)

    @property
    def wavelength_m(self) -> float:
        """Speed of light / carrier."""
        return SPEED_OF_LIGHT_MPS / self.carrier_hz

    @property
    def enter_s(self) -> NDArray[np.float64]:
        """When each device enters, [num_devices]; 0 for one that is there from the start."""
        return self._enter_s

    @property
    def leave_s(self) -> NDArray[np.float64]:
        """When each device leaves, [num_devices]; infinity for one that stays."""
        return self._leave_s

    @property
    def is_selective(self) -> bool:
        """Whether the channel varies over the band."""
        return self._taps is not None

    def positions_m(self, t_s: float) -> NDArray[np.float64]:
        """Return the positions of all devices at `t_s`, [num_devices, 2]."""
        return self._paths.at(np.arange(self.num_devices), _times(t_s))[:, :2]

    def tracks_m(self, devices: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return positions [..., 2]; `devices` and `t_s` broadcast to [...]."""
        return self._paths.at(self._devices(devices), _times(t_s))[..., :2]

    def distance_m(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return distances between antennas, heights counted; arguments broadcast."""
        low, high = self._links(src, dst)
        times_s = _times(t_s)
        return self._distance_m(
            low, high, self._paths.at(low, times_s), self._paths.at(high, times_s)
        )

    def line_of_sight(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.bool_]:
        """Return whether links are in line of sight; True in a model without states."""
        return np.asarray(self._large_scale(src, dst, t_s)[1])

    def mean_gain(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the linear power gain averaged over fading; arguments broadcast."""
        return self._large_scale(src, dst, t_s)[0]

    def gain(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the linear power gain with fading, averaged over the band; arguments broadcast.

        `gain(i, j, t) == gain(j, i, t)`.
        """
        mean_gain, sight = self._large_scale(src, dst, t_s)
        instant = self._fading_instant(src, dst, t_s, sight)
        if self._taps is None:
            power = self._channel.fading.power(self._draws, instant)
        else:
            power = np.sum(np.abs(self._amplitudes(instant)) ** 2, axis=-1)
        return np.asarray(mean_gain * power.reshape(mean_gain.shape))

    def block_gain(
        self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike, offset_hz: ArrayLike
    ) -> NDArray[np.float64]:
        """Return the linear power gain at offsets from the carrier.

        Args:
            src: one end; broadcasts with `dst` and `t_s` to [...].
            dst: the other end.
            t_s: times.
            offset_hz: C frequencies relative to the carrier, [C].

        Returns:
            Gains [..., C], the same at all offsets under a flat delay profile.
        """
        offset_hz = np.asarray(offset_hz, float)
        if self._taps is None:
            gain = self.gain(src, dst, t_s)
            return np.repeat(gain[..., np.newaxis], offset_hz.size, axis=-1)
        mean_gain, sight = self._large_scale(src, dst, t_s)
        amplitudes = self._amplitudes(self._fading_instant(src, dst, t_s, sight))  # [..., L]
        turns = np.exp(-2j * np.pi * np.outer(self._taps.delay_s, offset_hz))  # [L, C]
        power = np.abs(amplitudes @ turns) ** 2
        return np.asarray(mean_gain[..., np.newaxis] * power.reshape(*mean_gain.shape, -1))

    def _large_scale(
        self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike
    ) -> tuple[NDArray[np.float64], ArrayLike]:
        """Return the mean gain [...] and whether there is line of sight, broadcast to [...]."""
        low, high = self._links(src, dst)
        times_s = _times(t_s)
        low_at, high_at = self._paths.at(low, times_s), self._paths.at(high, times_s)
        distance_m = self._distance_m(low, high, low_at, high_at)
        path_loss = self._channel.path_loss
        geometry = Geometry(
            np.atleast_1d(distance_m),
            self.carrier_hz,
            low_height_m=self._height_m[low],
            high_height_m=self._height_m[high],
            low=low,
            high=high,
            t_s=times_s,
            data_root=self._data_root,
        )
        travelled_m = np.atleast_1d(low_at[..., 2] + high_at[..., 2])
        probability = path_loss.line_of_sight_probability(geometry)
        if probability is not None:
            geometry = replace(
                geometry, line_of_sight=self._sight(geometry, travelled_m, probability)
            )
        sight = np.asarray(geometry.line_of_sight)
        loss_db = path_loss.loss_db(geometry)
        if not isinstance(self._channel.shadowing, NoShadowing):
            instant = ShadowingInstant(
                low, high, travelled_m, low_at[..., :2], high_at[..., :2], sight,
                path_loss.shadow(sight),
            )  # fmt: skip
            loss_db = loss_db + self._channel.shadowing.loss_db(self._draws, instant)
        gain: NDArray[np.float64] = 10.0 ** (loss_db / -10.0)
        return gain.reshape(distance_m.shape), sight

    def _sight(
        self, geometry: Geometry, travelled_m: NDArray[np.float64], probability: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return the state of sight: a link process, passed through its law, below P(LOS)."""
        from scipy.special import ndtr  # noqa: PLC0415  scipy is slow to import

        correlation_m = self._channel.path_loss.line_of_sight_correlation_m
        low, high = np.asarray(geometry.low), np.asarray(geometry.high)
        normal = link_process(self._draws, "line_of_sight", low, high, travelled_m / correlation_m)
        return np.asarray(ndtr(normal) < probability)

    def _distance_m(
        self,
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        low_at: NDArray[np.float64],
        high_at: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        apart_m = low_at - high_at
        ground_m = np.hypot(apart_m[..., 0], apart_m[..., 1])
        return np.asarray(np.hypot(ground_m, self._height_m[low] - self._height_m[high]))

    def _fading_instant(
        self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike, sight: ArrayLike
    ) -> FadingInstant:
        low, high = self._links(src, dst)
        times_s = np.atleast_1d(_times(t_s))
        return FadingInstant(
            low,
            high,
            times_s,
            doppler_cycles=lambda: self._phases.cycles(low, high, times_s),
            line_of_sight=lambda: sight,
            rician_k_db=self._channel.path_loss.rician_k_db,
        )

    def _amplitudes(self, instant: FadingInstant) -> NDArray[np.complex128]:
        """Return sqrt(p_l) h_l of every path, [..., L]."""
        fading, taps = self._channel.fading, self._taps
        assert taps is not None
        assert isinstance(fading, PhasedFading)
        return np.stack(
            [
                math.sqrt(power) * fading.amplitude(self._draws, instant, tap, k)
                for tap, (power, k) in enumerate(zip(taps.power, taps.k, strict=True))
            ],
            axis=-1,
        )

    def doppler_cycles(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the integral of |v_i - v_j| / wavelength from time 0; arguments broadcast."""
        return self._phases.cycles(*self._links(src, dst), _times(t_s))

    def sample_interval_s(self, src: int, dst: int) -> float:
        """Return the link's channel sampling interval; samples are at its whole multiples.

        Infinity if the channel never changes. Without an interval given, it is the fading's,
        or the whole part of it in which the distance changes by at most MEAN_GAIN_STEP_M.
        """
        if self._channel.sample_interval_s is not None:
            return self._channel.sample_interval_s
        low, high = self._devices(src).item(), self._devices(dst).item()
        speeds_mps = self._max_speed_mps[[low, high]]
        speed_mps = float(speeds_mps.sum()) if low != high else 0.0
        fading_s = min(
            self._channel.fading.sample_interval_s(speed_mps / self.wavelength_m),
            self._channel.path_loss.sample_interval_s(),
        )
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
