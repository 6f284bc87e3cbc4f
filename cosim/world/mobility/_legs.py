"""Legs: what the models that draw their own paths share."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from cosim.units import SpeedRange
from cosim.world.area.base import Area
from cosim.world.mobility.base import Knots


def _moving(speed_mps: tuple[float, float]) -> tuple[float, float]:
    if speed_mps[0] <= 0:
        raise PydanticCustomError(
            "speed_not_positive",
            "expected a least speed above 0 m/s (with 0 the mean speed decays for ever and there "
            "is no stationary regime), got {least} m/s",
            {"least": speed_mps[0]},
        )
    return speed_mps


_MOST_CROSSINGS = 10_000  # of the area in one step; an assumption of this project

# Speeds of legs whose length is given, so that their times have the mean E[length] E[1/speed].
LegSpeed = Annotated[SpeedRange, AfterValidator(_moving)]


def stretch_sizes(first: int = 8) -> Iterator[int]:
    """Yield how many legs to draw at once: `first` and then doubling to 512.

    So a path costs its length to read, and a first look at it costs little.
    """
    size = first
    while True:
        yield size
        size = min(2 * size, 512)


def between(bounds: tuple[float, float], u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map draws in [0, 1) to values uniform between the bounds."""
    return bounds[0] + u * (bounds[1] - bounds[0])


def length_biased(bounds: tuple[float, float], u: float) -> float:
    """Map a draw in [0, 1) to a duration of density ~ x on the bounds.

    That is the duration, uniform on the bounds by itself, that a stationary process is in at a
    given time: longer ones are met in proportion to their length.
    """
    least, most = bounds
    return float(np.sqrt(least**2 + u * (most**2 - least**2)))


def rotation(u: float) -> NDArray[np.float64]:
    """Return the axes [2, 2] of a frame turned by the angle 2 pi u."""
    cosine, sine = np.cos(2.0 * np.pi * u), np.sin(2.0 * np.pi * u)
    return np.array([[cosine, -sine], [sine, cosine]])


class Reflected:
    """A walker inside an area: steps of given durations in, knots out.

    Args:
        area: whose border mirrors the walk.
        start_m: where the walker is at time 0, [2].
        frame: its axes there as columns, [2, 2].
        longest_m: the longest step that it may be given.

    Raises:
        ValueError: such a step would cross the area too often to be walked.
    """

    def __init__(
        self,
        area: Area,
        start_m: NDArray[np.float64],
        frame: NDArray[np.float64],
        longest_m: float,
    ) -> None:
        x0, y0, x1, y1 = area.extent_m()
        narrowest_m = min(x1 - x0, y1 - y0)
        if longest_m > _MOST_CROSSINGS * narrowest_m:
            raise ValueError(
                f"expected steps that cross the area, {narrowest_m:g} m wide, at most "
                f"{_MOST_CROSSINGS} times, got steps of up to {longest_m:.4g} m; make the area "
                "larger, or devices slower, or let them turn more often"
            )
        self._area = area
        self._t_s = 0.0
        self._xy_m = start_m
        self._frame = frame

    def walk(self, steps_m: NDArray[np.float64], durations_s: NDArray[np.float64]) -> Knots:
        """Return the knots of steps [n, 2] in the walker's own axes, each of a duration [n]."""
        walk = self._area.reflect(self._xy_m, self._frame, steps_m)
        ends_s = np.cumsum(np.concatenate([[self._t_s], durations_s]))
        t_s = np.interp(walk.at, np.arange(ends_s.size), ends_s)
        self._t_s, self._xy_m, self._frame = float(ends_s[-1]), walk.xy_m[-1], walk.frame
        return Knots(t_s, walk.xy_m)
