"""What the models of 3GPP TR 38.901 (V17.0.0, section 7.4) share with those built on them.

Of the two ends of a link the one with the higher antenna is the base station.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.path_loss.base import Bools, Floats, Geometry, Shadow

CARRIER_RANGE_HZ = (0.5e9, 100e9)
# Least distance on the ground between a base station and a terminal outdoors.
_MIN_GROUND_M = 10.0
# Effective environment height h_E.
_ENVIRONMENT_M = 1.0
# Heights of terminals that the tables hold for.
_TERMINAL_M = (1.5, 22.5)


@dataclass(frozen=True)
class OutdoorLink:
    """A base station and a terminal outdoors; everything broadcasts to the shape [...].

    Attributes:
        log_distance: log10 of d_3D, in m.
        log_beyond: log10 of d_3D over its value at the breakpoint, 0 up to it.
        log_carrier: log10 of the carrier, in GHz.
        terminal_m: h_UT.
    """

    log_distance: Floats
    log_beyond: Floats
    log_carrier: float
    terminal_m: Floats

    def clear_db(self, offset_db: float, per_decade_db: float) -> Floats:
        """Return the loss in line of sight, [...].

        Up to the breakpoint offset + n log d_3D + 20 log f, and from there on 40 dB per decade.
        The table's 40 log d_3D - (40 - n) / 2 log(d_BP^2 + (h_BS - h_UT)^2) is the same, since the
        last bracket is d_3D^2 at the breakpoint.
        """
        loss_db = per_decade_db * self.log_distance
        loss_db += (40.0 - per_decade_db) * self.log_beyond
        loss_db += offset_db + 20.0 * self.log_carrier
        return loss_db


def outdoor_link(geometry: Geometry) -> OutdoorLink:
    """Return what UMi and UMa need of a link.

    Nearer than 10 m on the ground counts as 10 m, an antenna below 1.5 m as 1.5 m high, and a
    terminal above 22.5 m as 22.5 m.
    """
    low_m = np.asarray(geometry.low_height_m, dtype=float)
    high_m = np.asarray(geometry.high_height_m, dtype=float)
    terminal_m = np.maximum(np.minimum(low_m, high_m), _TERMINAL_M[0])
    terminal_m = np.minimum(terminal_m, _TERMINAL_M[1])
    turn = np.maximum(np.maximum(low_m, high_m), _TERMINAL_M[0])
    # In place: on whole arrays the time goes into fresh memory more than into arithmetic.
    turn -= _ENVIRONMENT_M
    turn *= terminal_m - _ENVIRONMENT_M
    turn *= 4.0 * geometry.carrier_hz / SPEED_OF_LIGHT_MPS
    turn *= turn
    rise_m2 = low_m - high_m
    rise_m2 *= rise_m2
    turn += rise_m2  # d_3D^2 at the breakpoint
    rise_m2 += _MIN_GROUND_M**2
    square_m2 = np.maximum(geometry.distance_m * geometry.distance_m, rise_m2)
    beyond = np.maximum(square_m2 / turn, 1.0)
    return OutdoorLink(
        0.5 * np.log10(square_m2), 0.5 * np.log10(beyond), log_ghz(geometry.carrier_hz), terminal_m
    )


def log_ghz(carrier_hz: float) -> float:
    """Return log10 of the carrier in GHz."""
    return math.log10(carrier_hz / 1e9)


def by_state(line_of_sight: ArrayLike, clear_db: Floats, blocked_db: Floats) -> Floats:
    """Return the loss by state of sight: out of sight it is at least that in sight."""
    return np.where(line_of_sight, clear_db, np.maximum(clear_db, blocked_db))


def street_probability(ground_m: Floats, decay_m: float) -> NDArray[np.float64]:
    """Return P(LOS) = 18 / d + e^(-d / decay) (1 - 18 / d) beyond 18 m, and 1 up to there."""
    ground_m = np.maximum(ground_m, 18.0)
    near = 18.0 / ground_m
    probability: NDArray[np.float64] = near + np.exp(ground_m / -decay_m) * (1.0 - near)
    return probability


def shadow_by_state(
    line_of_sight: Bools,
    sigma_db: tuple[float, float],
    decorrelation_m: tuple[float, float],
) -> Shadow:
    """Return the law of shadowing out of its values in and out of sight."""
    return Shadow(np.where(line_of_sight, *sigma_db), np.where(line_of_sight, *decorrelation_m))
