"""Mobility: a device's path as knots that are joined by straight lines at constant speed."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin
from cosim.rng import Draws
from cosim.world.area.base import Area

_KNOTS = 64  # of a path that are looked at to tell how long its legs are


@dataclass(frozen=True)
class Knots:
    """A stretch of a path: at `t_s[k]` the device is at `xy_m[k]`; between knots it moves evenly.

    Attributes:
        t_s: times [K], at least one, never decreasing.
        xy_m: points [K, 2].
    """

    t_s: NDArray[np.float64]
    xy_m: NDArray[np.float64]


@dataclass(frozen=True)
class Member:
    """One device of a group, as its mobility model sees it.

    Attributes:
        device: its number in the scenario, the entity that its draws are addressed by.
        index: its number in its group, from 0.
        count: how many devices its group has.
        group: its group's number in the scenario, from 0; what a group shares is addressed by it.
        area: where it may be.
        data_root: the folder that files are looked up in.
    """

    device: int
    index: int
    count: int
    group: int
    area: Area
    data_root: Path = Path()


@dataclass(frozen=True)
class Survey:
    """What can be told of a mobility model before it is simulated.

    Attributes:
        max_speed_mps: the largest speed of any device of the group.
        leg_s: about how long a leg takes; infinite for a path that soon ends.
    """

    max_speed_mps: float
    leg_s: float


class Mobility(Plugin):
    """Contract of family `mobility`: every model is a path of straight legs.

    Speed is constant on a leg, so positions, distances and the Doppler phase between two devices
    are exact at any time and cost nothing to look ahead.
    """

    @abstractmethod
    def max_speed_mps(self, member: Member) -> float:
        """Return the largest speed that a device can have; 0 if it never moves.

        It bounds a link's Doppler shift, and so how often the channel has to be sampled.
        """

    @abstractmethod
    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield the device's path from time 0 on, stretch after stretch.

        The first knot is at time 0. Stretches follow on in time and may go on for ever; a path
        that ends stays at its last point. Reading further never changes what was yielded.

        Args:
            draws: the scenario's random numbers, to be addressed by (purpose, device, index).
            member: whose path.
        """

    def presence_s(self, member: Member) -> tuple[float, float]:
        """Return when the device enters and when it leaves: it takes part in [enter, leave)."""
        return 0.0, math.inf

    def survey(self, area: Area, count: int, data_root: Path) -> Survey:
        """Look at a group of `count` devices with this mobility as far as that is cheap.

        By default at the first legs of one device.

        Raises:
            ValueError: it cannot be used in the area, or a file not at all.
        """
        member = Member(0, 0, count, 0, area, data_root)
        max_speed_mps = self.max_speed_mps(member)
        return Survey(max_speed_mps, _leg_s(self.path(Draws(0), member)))

    def num_members(self, data_root: Path) -> int | None:
        """Return how many devices the model itself has, such as a trace; None if any number."""
        return None


def _leg_s(path: Iterator[Knots]) -> float:
    """Return the mean time between the first knots of a path."""
    num, last_s = 0, 0.0
    for knots in path:
        num, last_s = num + len(knots.t_s), float(knots.t_s[-1])
        if num > _KNOTS:
            return last_s / (num - 1)
    return math.inf
