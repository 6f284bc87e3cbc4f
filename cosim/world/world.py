"""The world: where devices are and what the channel between any two is, at any time.

    gain g = 10^(-PL / 10) |h|^2          (physics: link budget)

A pure function of time: positions and gains can be asked for any t, in arrays, any number of
times and in any order, and never change.

Powers and logarithms are taken of arrays only: of a NumPy scalar they go through another library
and can differ in the last bit.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.rng import Draws
from cosim.world.area.base import Area
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.delay_profile.base import DelayProfile, Taps
from cosim.world.delay_profile.flat import Flat
from cosim.world.doppler import DopplerPhases
from cosim.world.fading.base import Fading, FadingInstant, PhasedFading
from cosim.world.fading.none import NoFading
from cosim.world.large_scale import LargeScale, Look
from cosim.world.mobility.base import Member, Mobility
from cosim.world.path_loss.base import PathLoss
from cosim.world.paths import Paths
from cosim.world.polylines import span_s
from cosim.world.shadowing.base import Shadowing
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
        members = [
            Member(device, body.index, body.count, body.group, area, data_root)
            for device, body in enumerate(bodies)
        ]
        mobilities = [body.mobility for body in bodies]
        both = list(zip(mobilities, members, strict=True))
        self._max_speed_mps = [float(mobility.max_speed_mps(member)) for mobility, member in both]
        by_speed = sorted(range(len(both)), key=lambda device: -self._max_speed_mps[device])
        self._two_fastest = tuple(by_speed[:2])
        presence_s = [mobility.presence_s(member) for mobility, member in both]
        self._enter_s = np.array([enter_s for enter_s, _ in presence_s])
        self._leave_s = np.array([leave_s for _, leave_s in presence_s])
        self._paths = Paths(draws, mobilities, members)
        self._everyone = np.arange(len(bodies))
        self._phases = DopplerPhases(self._paths, self.wavelength_m)
        self._large_scale = LargeScale(
            draws,
            self._paths,
            np.array([body.height_m for body in bodies]),
            channel.path_loss,
            channel.shadowing,
            channel.carrier_hz,
            data_root,
        )
        self._interval_s = _intervals(channel, self.wavelength_m, data_root)
        self._taps = channel.delay_profile.taps()
        if self._taps is not None and not isinstance(channel.fading, PhasedFading):
            raise ValueError(
                "expected a fading with a phase (rayleigh, rayleigh_jakes, rician) under a delay "
                f"profile, got {type(channel.fading).__name__}"
            )

    @property
    def num_devices(self) -> int:
        """How many devices there are."""
        return len(self._paths)

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
        times_s = np.asarray(t_s, dtype=np.float64)
        return self._paths.at(self._everyone, times_s, _span_s(times_s))[:, :2]

    def tracks_m(self, devices: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return positions [..., 2]; `devices` and `t_s` broadcast to [...]."""
        times_s = np.asarray(t_s, dtype=np.float64)
        return self._paths.at(self._devices(devices), times_s, _span_s(times_s))[..., :2]

    def distance_m(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return distances between antennas, heights counted; arguments broadcast."""
        if type(src) is type(dst) is int and type(t_s) in (float, int):
            low, high = (src, dst) if src <= dst else (dst, src)
            if low >= 0 and high < self.num_devices and 0.0 <= t_s < math.inf:
                return np.asarray(self._large_scale.distance_between_m(low, high, t_s))
        return self._large_scale.distance_m(self._look(src, dst, t_s))

    def line_of_sight(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.bool_]:
        """Return whether links are in line of sight; arguments broadcast.

        Links of a model without states are.
        """
        mean_gain, sight = self._large_scale.mean_gain(self._look(src, dst, t_s))
        sight = np.asarray(sight, dtype=np.bool_)
        if sight.size == mean_gain.size:
            return sight.reshape(mean_gain.shape)
        return np.broadcast_to(sight, mean_gain.shape).copy()

    def mean_gain(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the linear power gain averaged over fading; arguments broadcast."""
        return self._large_scale.mean_gain(self._look(src, dst, t_s))[0]

    def gain(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the linear power gain with fading, averaged over the band; arguments broadcast.

        `gain(i, j, t) == gain(j, i, t)`. One call for many times, or for many links with their
        times [L], costs far less than many calls.
        """
        look = self._look(src, dst, t_s)
        mean_gain, sight = self._large_scale.mean_gain(look)
        instant = self._fading_instant(look, sight)
        if self._taps is None:
            power = self._channel.fading.power(self._draws, instant)
        else:
            power = np.sum(np.abs(self._amplitudes(instant, self._taps)) ** 2, axis=-1)
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
        look = self._look(src, dst, t_s)
        mean_gain, sight = self._large_scale.mean_gain(look)
        amplitudes = self._amplitudes(self._fading_instant(look, sight), self._taps)  # [..., L]
        power = self._taps.response_power(amplitudes, offset_hz)
        return np.asarray(mean_gain[..., np.newaxis] * power.reshape(*mean_gain.shape, -1))

    def doppler_cycles(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the integral of |v_i - v_j| / wavelength from time 0; arguments broadcast."""
        look = self._look(src, dst, t_s)
        return self._phases.cycles(look.low, look.high, look.t_s, look.span_s)

    def sample_interval_s(self, src: int, dst: int) -> float:
        """Return the link's channel sampling interval; samples are at its whole multiples.

        Infinity if the channel never changes. Without an interval given, it is the fading's,
        or the whole part of it in which the distance changes by at most MEAN_GAIN_STEP_M.
        """
        for device in (src, dst):
            if not 0 <= device < self.num_devices:
                raise self._unknown_device(device)
        if src == dst:
            return self._interval_s(0.0)
        return self._interval_s(self._max_speed_mps[src] + self._max_speed_mps[dst])

    def finest_sample_interval_s(self, device: int) -> float:
        """Return the finest `sample_interval_s` of a device's links with all others."""
        others = [other for other in self._two_fastest if other != device]
        return min((self.sample_interval_s(device, other) for other in others), default=math.inf)

    def strongest(self, device: int, candidates: NDArray[np.int64], t_s: float) -> int:
        """Return which of the candidates, at least one, a device hears best without fading."""
        return int(candidates[np.argmax(self.mean_gain(device, candidates, t_s))])

    def neighbours(self, t_s: float, range_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (low[E], high[E]), the pairs at most `range_m` apart, sorted; by k-d tree."""
        from scipy.spatial import cKDTree  # noqa: PLC0415  scipy is slow to import

        # Built for one question, so that a tree that is quick to build is the best.
        tree = cKDTree(self.positions_m(t_s), balanced_tree=False, compact_nodes=False)
        pairs = tree.query_pairs(range_m, output_type="ndarray")
        return np.divmod(np.sort(pairs[:, 0] * self.num_devices + pairs[:, 1]), self.num_devices)

    def _look(self, src: ArrayLike, dst: ArrayLike, t_s: ArrayLike) -> Look:
        """Return the ends, smaller number first, so that a channel is the same both ways."""
        if type(src) is type(dst) is int:
            if not 0 <= min(src, dst) <= max(src, dst) < self.num_devices:
                raise self._unknown_device(src if not 0 <= src < self.num_devices else dst)
            low, high = np.array(min(src, dst)), np.array(max(src, dst))
        else:
            ends = self._devices(src), self._devices(dst)
            low, high = np.asarray(np.minimum(*ends)), np.asarray(np.maximum(*ends))
        times_s = np.asarray(t_s, dtype=np.float64)
        return Look(low, high, times_s, _span_s(times_s))

    def _fading_instant(self, look: Look, sight: ArrayLike) -> FadingInstant:
        times_s = np.atleast_1d(look.t_s)
        return FadingInstant(
            look.low,
            look.high,
            times_s,
            doppler_cycles=lambda: self._phases.cycles(look.low, look.high, times_s, look.span_s),
            line_of_sight=lambda: sight,
            rician_k_db=self._channel.path_loss.rician_k_db,
        )

    def _amplitudes(self, instant: FadingInstant, taps: Taps) -> NDArray[np.complex128]:
        """Return sqrt(p_l) h_l of every path, [..., L]."""
        fading = self._channel.fading
        assert isinstance(fading, PhasedFading)
        return fading.amplitudes(self._draws, instant, taps)

    def _devices(self, numbers: ArrayLike) -> NDArray[np.int64]:
        devices = np.asarray(numbers, dtype=np.int64)
        if devices.size and not 0 <= devices.min() <= devices.max() < self.num_devices:
            worst = devices.max() if devices.max() >= self.num_devices else devices.min()
            raise self._unknown_device(worst)
        return devices

    def _unknown_device(self, device: int) -> ValueError:
        return ValueError(f"expected devices 0 to {self.num_devices - 1}, got {device}")


def _intervals(
    channel: ChannelModels, wavelength_m: float, data_root: Path
) -> Callable[[float], float]:
    """Return the function from a link's largest relative speed to its sampling interval."""

    @lru_cache(maxsize=4096)
    def interval_s(speed_mps: float) -> float:
        if channel.sample_interval_s is not None:
            return channel.sample_interval_s
        fading_s = min(
            channel.fading.sample_interval_s(speed_mps / wavelength_m),
            channel.path_loss.sample_interval_s(data_root),
        )
        if speed_mps == 0.0:
            return fading_s
        step_s = MEAN_GAIN_STEP_M / speed_mps
        return step_s if math.isinf(fading_s) else fading_s / math.ceil(fading_s / step_s)

    return interval_s


def _span_s(t_s: NDArray[np.float64]) -> tuple[float, float]:
    """Return the first and the last of some times; refuse what is no time."""
    if not t_s.size:
        return 0.0, 0.0
    first_s, last_s = span_s(t_s)
    if not (first_s >= 0.0 and last_s < math.inf):
        wrong = t_s[~(np.isfinite(t_s) & (t_s >= 0.0))].flat[0]
        raise ValueError(f"expected finite times from 0 s on, got {wrong} s")
    return first_s, last_s
