"""Path loss `uma`: 3GPP TR 38.901 urban macro cell (V17.0.0, Table 7.4.1-1).

    in sight       28 + 22 log d_3D + 20 log f                                   up to d_BP
                   28 + 40 log d_3D + 20 log f - 9 log(d_BP^2 + (h_BS - h_UT)^2)   beyond
    out of sight   max(in sight, 13.54 + 39.08 log d_3D + 20 log f - 0.6 (h_UT - 1.5))
    P(LOS)         (18 / d + e^(-d / 63) (1 - 18 / d))
                   (1 + C 5/4 (d / 100)^3 e^(-d / 150)) beyond 18 m, Table 7.4.2-1

in dB, with d in m, f in GHz, d_BP = 4 (h_BS - h_E) (h_UT - h_E) f / c, f in Hz, and
C = ((h_UT - 13) / 10)^1.5 above 13 m, 0 below.

h_E is 1 m, as the standard has it for terminals up to 13 m. For higher ones it draws h_E: 1 m, or
else 12 m to h_UT - 1.5 m; here it stays 1 m, which is the farthest breakpoint. In sight of a
terminal at 22.5 m that is 0.1 dB less than the standard's mean at 300 m, and 1.5 dB at 1 km.
"""

from typing import ClassVar

import numpy as np

from cosim.world.path_loss._tr38901 import (
    CARRIER_RANGE_HZ,
    by_state,
    outdoor_link,
    shadow_by_state,
    street_probability,
)
from cosim.world.path_loss.base import Bools, Floats, Geometry, PathLoss, Shadow


class Uma(PathLoss):
    """Urban macro cell: base stations above the rooftops.

    Made for a base station 25 m high and terminals 1.5 to 22.5 m high, 10 m to 5 km apart, at 0.5
    to 100 GHz. The end with the higher antenna is the base station; nearer than 10 m on the ground
    counts as 10 m, an antenna below 1.5 m as 1.5 m high, and a terminal above 22.5 m as 22.5 m.
    Two devices of 1.5 m are a link too, with a breakpoint at 12 m (3.5 GHz) that no measurement
    behind the table has seen: `d2d` is the model for them.
    """

    line_of_sight_correlation_m: ClassVar[float] = 50.0  # Table 7.6.3.1-2
    carrier_range_hz: ClassVar[tuple[float, float]] = CARRIER_RANGE_HZ

    @property
    def rician_k_db(self) -> tuple[float, float]:
        """Table 7.5-6."""
        return (9.0, 3.5)

    def loss_db(self, geometry: Geometry) -> Floats:
        """Loss by state of sight."""
        link = outdoor_link(geometry)
        blocked_db = 39.08 * link.log_distance
        blocked_db += 13.54 + 20.0 * link.log_carrier - 0.6 * (link.terminal_m - 1.5)
        return by_state(geometry.line_of_sight, link.clear_db(28.0, 22.0), blocked_db)

    def line_of_sight_probability(self, geometry: Geometry) -> Floats:
        """P(LOS) by the distance on the ground and the terminal's height."""
        ground_m = geometry.ground_m
        probability = street_probability(ground_m, 63.0)
        terminal_m = np.minimum(geometry.low_height_m, geometry.high_height_m)
        if np.max(terminal_m, initial=0.0) <= 13.0:
            return probability
        height = (np.clip(terminal_m, 13.0, 23.0) - 13.0) / 10.0
        ratio = ground_m / 100.0
        rise = 1.25 * ratio * ratio * ratio * np.exp(ground_m / -150.0)
        # Just beyond 18 m the product exceeds 1.
        return np.minimum(probability * (1.0 + height * np.sqrt(height) * rise), 1.0)

    def shadow(self, line_of_sight: Bools) -> Shadow:
        """Sigma of Table 7.4.1-1, decorrelation distance of Table 7.5-6."""
        return shadow_by_state(line_of_sight, (4.0, 6.0), (37.0, 50.0))
