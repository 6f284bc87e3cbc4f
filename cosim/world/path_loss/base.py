"""Path loss: how much the mean power falls with distance, in line of sight and out of it."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.plugin import Plugin

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Geometry:
    """Where the two ends of some links are; everything broadcasts to the shape [...].

    Attributes:
        distance_m: distance between the antennas, in space.
        carrier_hz: carrier frequency.
        low_height_m, high_height_m: antenna heights of the two ends, in the order of `low`, `high`.
        line_of_sight: whether each link is in line of sight now; True in a model without states.
        low, high: the two ends, smaller device number first.
        t_s: the time.
        data_root: the folder that files are looked up in.
    """

    distance_m: Floats
    carrier_hz: float
    low_height_m: ArrayLike = 1.5
    high_height_m: ArrayLike = 1.5
    line_of_sight: ArrayLike = True
    low: ArrayLike = 0
    high: ArrayLike = 0
    t_s: ArrayLike = 0.0
    data_root: Path = Path()

    @property
    def ground_m(self) -> Floats:
        """Distance between the ends on the ground, [...]."""
        rise_m = np.asarray(self.low_height_m, float) - np.asarray(self.high_height_m, float)
        return np.asarray(np.sqrt(np.maximum(self.distance_m**2 - rise_m**2, 0.0)))


@dataclass(frozen=True)
class Shadow:
    """The law of shadowing, normal in dB with mean 0, for each link.

    Attributes:
        sigma_db: standard deviation, broadcasts to [...].
        decorrelation_m: d_c, over which the correlation falls to 1/e, broadcasts to [...].
    """

    sigma_db: ArrayLike
    decorrelation_m: ArrayLike


class PathLoss(Plugin):
    """Contract of family `path_loss`.

    A model with states of sight overrides `line_of_sight_probability`; the world draws the states,
    consistent along a link's path, and hands them back in `Geometry.line_of_sight`.

    Attributes:
        line_of_sight_correlation_m: over which the correlation of the state's underlying process
            falls to 1/e (3GPP 38.901 Table 7.6.3.1-2).
        carrier_range_hz: least and most carrier frequency that the model holds for.
    """

    line_of_sight_correlation_m: ClassVar[float] = 50.0
    carrier_range_hz: ClassVar[tuple[float, float]] = (0.0, math.inf)

    @property
    def rician_k_db(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the Rician K-factor in dB, which is normal, in sight.

        None if the model says nothing.
        """
        return None

    @abstractmethod
    def loss_db(self, geometry: Geometry) -> Floats:
        """Return the path loss in dB, shape of `geometry.distance_m`; never infinite or NaN."""

    def line_of_sight_probability(self, geometry: Geometry) -> Floats | None:
        """Return the probability of line of sight, shape [...]; None in a model without states."""
        return None

    def shadow(self, line_of_sight: Bools) -> Shadow | None:
        """Return the model's own law of shadowing by state of sight; None if it has none."""
        return None

    def survey(self, num_devices: int, data_root: Path) -> None:
        """Look whether the model can be used for devices 0 to `num_devices` - 1.

        Raises:
            ValueError: it cannot; the message says why.
        """

    def sample_interval_s(self, data_root: Path = Path()) -> float:
        """Return how often the loss must be sampled for reasons other than motion.

        Args:
            data_root: the folder that files are looked up in.
        """
        return math.inf
