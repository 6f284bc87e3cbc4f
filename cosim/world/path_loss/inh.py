"""Path loss `inh`: 3GPP TR 38.901 indoor office (V17.0.0, Tables 7.4.1-1 and 7.4.2-1).

    in sight       32.4 + 17.3 log d_3D + 20 log f
    out of sight   max(in sight, 17.3 + 38.3 log d_3D + 24.9 log f)
    P(LOS), mixed  1 to 1.2 m, e^(-(d - 1.2) / 4.7) to 6.5 m, 0.32 e^(-(d - 6.5) / 32.6) beyond
    P(LOS), open   1 to 5 m, e^(-(d - 5) / 70.8) to 49 m, 0.54 e^(-(d - 49) / 211.7) beyond

in dB, with d in m and f in GHz.
"""

from typing import ClassVar, Literal

import numpy as np

from cosim.world.path_loss._tr38901 import CARRIER_RANGE_HZ, by_state, log_ghz, shadow_by_state
from cosim.world.path_loss.base import Bools, Floats, Geometry, PathLoss, Shadow

_MIN_DISTANCE_M = 1.0
# Where P(LOS) starts to fall and over what distance, and the same of the farther part with its
# factor.
_PROBABILITY = {
    "mixed": (1.2, 4.7, 6.5, 32.6, 0.32),
    "open": (5.0, 70.8, 49.0, 211.7, 0.54),
}


class Inh(PathLoss):
    """Indoor office.

    Made for antennas 1 to 150 m apart, at 0.5 to 100 GHz; nearer than 1 m counts as 1 m.

    Attributes:
        office: `mixed`, with rooms and corridors, or `open` plan; says how probable line of sight
            is.
    """

    line_of_sight_correlation_m: ClassVar[float] = 10.0  # Table 7.6.3.1-2
    carrier_range_hz: ClassVar[tuple[float, float]] = CARRIER_RANGE_HZ

    office: Literal["mixed", "open"] = "mixed"

    @property
    def rician_k_db(self) -> tuple[float, float]:
        """Table 7.5-6."""
        return (7.0, 4.0)

    def loss_db(self, geometry: Geometry) -> Floats:
        """Loss by state of sight."""
        log_distance = np.log10(np.maximum(geometry.distance_m, _MIN_DISTANCE_M))
        log_carrier = log_ghz(geometry.carrier_hz)
        clear_db = 17.3 * log_distance + (32.4 + 20.0 * log_carrier)
        blocked_db = 38.3 * log_distance + (17.3 + 24.9 * log_carrier)
        return by_state(geometry.line_of_sight, clear_db, blocked_db)

    def line_of_sight_probability(self, geometry: Geometry) -> Floats:
        """P(LOS) by the distance on the ground."""
        near_m, near_decay_m, far_m, far_decay_m, far = (
            (1.2, 4.7, 6.5, 32.6, 0.32)
            if self.office == "mixed"
            else (5.0, 70.8, 49.0, 211.7, 0.54)
        )
        ground_m = geometry.ground_m
        near = np.exp(np.minimum(near_m - ground_m, 0.0) / near_decay_m)
        beyond = far * np.exp(np.minimum(far_m - ground_m, 0.0) / far_decay_m)
        return np.where(ground_m < far_m, near, beyond)

    def shadow(self, line_of_sight: Bools) -> Shadow:
        """Sigma of Table 7.4.1-1, decorrelation distance of Table 7.5-6."""
        return shadow_by_state(line_of_sight, (3.0, 8.03), (10.0, 6.0))
