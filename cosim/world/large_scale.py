"""The large-scale channel: distance, state of sight, path loss and shadowing of links.

mean gain = 10^(-(PL + S) / 10)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.rng import Draws
from cosim.world.link_process import link_process
from cosim.world.path_loss.base import Geometry, PathLoss
from cosim.world.paths import Paths
from cosim.world.polylines import span_s
from cosim.world.shadowing.base import Shadowing, ShadowingInstant
from cosim.world.shadowing.none import NoShadowing

# Times of one link that are worked on at once: few enough to stay in a core's cache.
_CHUNK = 8_192
_NEPERS_PER_DB = math.log(10.0) / 10.0


@dataclass(frozen=True)
class Look:
    """Some links at some times; `low`, `high` and `t_s` broadcast to one shape [...].

    Attributes:
        low, high: the two ends of each link, the smaller number first.
        t_s: times.
        span_s: the first and the last of them.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    t_s: NDArray[np.float64]
    span_s: tuple[float, float]


@dataclass(frozen=True)
class LargeScale:
    """What changes over metres.

    Attributes:
        draws: the scenario's random numbers.
        paths: where devices are.
        height_m: antenna height of each device, [num_devices].
        path_loss, shadowing: the models.
        carrier_hz: carrier frequency.
        data_root: the folder that files are looked up in.
    """

    draws: Draws
    paths: Paths
    height_m: NDArray[np.float64]
    path_loss: PathLoss
    shadowing: Shadowing
    carrier_hz: float
    data_root: Path
    _heights_m: Sequence[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_heights_m", self.height_m.tolist())

    def distance_m(self, look: Look) -> NDArray[np.float64]:
        """Return distances between antennas, [...]."""
        return self._distance_m(look, *self._ends(look))

    def distance_between_m(self, low: int, high: int, t_s: float) -> float:
        """Return `distance_m` of one link and time, without the cost of arrays."""
        (x, y, _), (u, v, _) = self.paths.point(low, t_s), self.paths.point(high, t_s)
        rise_m = self._heights_m[low] - self._heights_m[high]
        return math.sqrt((x - u) * (x - u) + (y - v) * (y - v) + rise_m * rise_m)

    def mean_gain(self, look: Look) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the linear gain without fading [...] and whether there is line of sight.

        Many times of one link are worked on piece by piece, which gives the same numbers.
        """
        t_s = look.t_s
        if t_s.size <= _CHUNK or t_s.ndim != 1 or look.low.ndim or look.high.ndim:
            return self._mean_gain(look)
        gain = np.empty(t_s.size)
        sight = np.empty(t_s.size, dtype=np.bool_)
        for begin in range(0, t_s.size, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            piece = Look(look.low, look.high, t_s[part], span_s(t_s[part]))
            gain[part], sight[part] = self._mean_gain(piece)
        return gain, sight

    def _mean_gain(self, look: Look) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        low_at, high_at = self._ends(look)
        distance_m = self._distance_m(look, low_at, high_at)
        path_loss, low, high = self.path_loss, look.low, look.high
        geometry = Geometry(
            np.atleast_1d(distance_m),
            self.carrier_hz,
            low_height_m=self.height_m[low],
            high_height_m=self.height_m[high],
            low=low,
            high=high,
            t_s=look.t_s,
            data_root=self.data_root,
        )
        probability = path_loss.line_of_sight_probability(geometry)
        if probability is not None:
            sight = self._sight(look, _travelled_m(low_at, high_at), probability)
            geometry = replace(geometry, line_of_sight=sight)
        sight = np.asarray(geometry.line_of_sight)
        loss_db = path_loss.loss_db(geometry)
        if not isinstance(self.shadowing, NoShadowing):
            instant = ShadowingInstant(
                low, high, _travelled_m(low_at, high_at), low_at[..., :2], high_at[..., :2],
                sight, path_loss.shadow(sight),
            )  # fmt: skip
            loss_db = loss_db + self.shadowing.loss_db(self.draws, instant)
        gain: NDArray[np.float64] = np.exp(loss_db * -_NEPERS_PER_DB)
        return gain.reshape(distance_m.shape), sight

    def _ends(self, look: Look) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (
            self.paths.at(look.low, look.t_s, look.span_s),
            self.paths.at(look.high, look.t_s, look.span_s),
        )

    def _distance_m(
        self, look: Look, low_at: NDArray[np.float64], high_at: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        x_m = low_at[..., 0] - high_at[..., 0]
        y_m = low_at[..., 1] - high_at[..., 1]
        rise_m = self.height_m[look.low] - self.height_m[look.high]
        squares = x_m * x_m
        squares += y_m * y_m
        # As the sum stands in `distance_between_m`, and so with the same roundings.
        return np.asarray(np.sqrt(squares + rise_m * rise_m))

    def _sight(
        self, look: Look, travelled_m: NDArray[np.float64], probability: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return the state of sight: a link process, passed through its law, below P(LOS)."""
        from scipy.special import ndtr  # noqa: PLC0415  scipy is slow to import

        travelled = travelled_m / self.path_loss.line_of_sight_correlation_m
        normal = link_process(self.draws, "line_of_sight", look.low, look.high, travelled)
        return np.asarray(ndtr(normal) < probability)


def _travelled_m(low_at: NDArray[np.float64], high_at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance that both ends have travelled since time 0, added up, [...]."""
    return np.atleast_1d(low_at[..., 2] + high_at[..., 2])
