"""Path loss `d2d`: 3GPP TR 36.843 between devices outdoors (V12.0.1, section A.2.1.2).

The larger of free space and WINNER+ B1 (D5.3, Table 4-1), h = 1.5 m and h' = 0.8 m:

    free space     20 log d + 46.4 + 20 log(f / 5)
    in sight       22.7 log d + 27 + 20 log f                     up to 4 h'^2 f / c
                   40 log d + 7.56 - 34.6 log h' + 2.7 log f      beyond
    out of sight   (44.9 - 6.55 log h) log d + 5.83 log h - 5 +
                   16.33 + 26.16 log f below 1.5 GHz, 14.78 + 34.97 log f to 2 GHz,
                   18.38 + 23 log f above
    P(LOS)         min(18 / d, 1) (1 - e^(-d / 36)) + e^(-d / 36)

in dB, with d in m (at least 3) and f in GHz. The two forms in sight miss each other by 0.02 dB at
4 h'^2 f / c; the larger is taken, which is the other within 0.3 % of that distance only.
"""

import math
from typing import ClassVar

import numpy as np

from cosim.world.path_loss._tr38901 import log_ghz, shadow_by_state, street_probability
from cosim.world.path_loss.base import Bools, Floats, Geometry, PathLoss, Shadow

_MIN_DISTANCE_M = 3.0
_LOG_HEIGHT = math.log10(1.5)
_FAR_DB = 7.56 - 34.6 * math.log10(0.8)


class D2d(PathLoss):
    """Between devices outdoors, both held at 1.5 m: their own heights change the distance only.

    Nearer than 3 m counts as 3 m.
    """

    carrier_range_hz: ClassVar[tuple[float, float]] = (0.45e9, 6e9)  # of WINNER+ B1

    def loss_db(self, geometry: Geometry) -> Floats:
        """Loss by state of sight, at least that of free space."""
        distance_m = np.maximum(geometry.distance_m, _MIN_DISTANCE_M)
        log_distance = np.log10(distance_m)
        log_carrier = log_ghz(geometry.carrier_hz)
        free_db = 20.0 * log_distance + (46.4 + 20.0 * (log_carrier - math.log10(5.0)))
        near_db = 22.7 * log_distance + (27.0 + 20.0 * log_carrier)
        far_db = 40.0 * log_distance + (_FAR_DB + 2.7 * log_carrier)
        clear_db = np.maximum(np.maximum(near_db, far_db), free_db)
        blocked_db = (44.9 - 6.55 * _LOG_HEIGHT) * log_distance
        blocked_db += 5.83 * _LOG_HEIGHT - 5.0 + _blocked_carrier_db(log_carrier)
        return np.where(geometry.line_of_sight, clear_db, np.maximum(blocked_db, free_db))

    def line_of_sight_probability(self, geometry: Geometry) -> Floats:
        """P(LOS) by the distance on the ground."""
        return street_probability(geometry.ground_m, 36.0)

    def shadow(self, line_of_sight: Bools) -> Shadow:
        """Sigma of 36.843; decorrelation of the street canyon, 38.901 Table 7.5-6.

        36.843 names no decorrelation distance.
        """
        return shadow_by_state(line_of_sight, (7.0, 7.0), (10.0, 13.0))


def _blocked_carrier_db(log_carrier: float) -> float:
    if log_carrier < math.log10(1.5):
        return 16.33 + 26.16 * log_carrier
    if log_carrier <= math.log10(2.0):
        return 14.78 + 34.97 * log_carrier
    return 18.38 + 23.0 * log_carrier
