"""Path loss `umi`: 3GPP TR 38.901 urban micro cell, street canyon (V17.0.0, Table 7.4.1-1).

    in sight       32.4 + 21 log d_3D + 20 log f                                    up to d_BP
                   32.4 + 40 log d_3D + 20 log f - 9.5 log(d_BP^2 + (h_BS - h_UT)^2)  beyond
    out of sight   max(in sight, 22.4 + 35.3 log d_3D + 21.3 log f - 0.3 (h_UT - 1.5))
    P(LOS)         18 / d + e^(-d / 36) (1 - 18 / d) beyond 18 m, Table 7.4.2-1

in dB, with d in m, f in GHz and d_BP = 4 (h_BS - 1) (h_UT - 1) f / c, f in Hz.
"""

from typing import ClassVar

from cosim.world.path_loss._tr38901 import (
    CARRIER_RANGE_HZ,
    by_state,
    outdoor_link,
    shadow_by_state,
    street_probability,
)
from cosim.world.path_loss.base import Bools, Floats, Geometry, PathLoss, Shadow


class Umi(PathLoss):
    """Urban micro cell, street canyon: base stations below the rooftops.

    Made for a base station 10 m high and terminals 1.5 to 22.5 m high, 10 m to 5 km apart, at 0.5
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
        return (9.0, 5.0)

    def loss_db(self, geometry: Geometry) -> Floats:
        """Loss by state of sight."""
        link = outdoor_link(geometry)
        blocked_db = 35.3 * link.log_distance
        blocked_db += 22.4 + 21.3 * link.log_carrier - 0.3 * (link.terminal_m - 1.5)
        return by_state(geometry.line_of_sight, link.clear_db(32.4, 21.0), blocked_db)

    def line_of_sight_probability(self, geometry: Geometry) -> Floats:
        """P(LOS) by the distance on the ground."""
        return street_probability(geometry.ground_m, 36.0)

    def shadow(self, line_of_sight: Bools) -> Shadow:
        """Sigma of Table 7.4.1-1, decorrelation distance of Table 7.5-6."""
        return shadow_by_state(line_of_sight, (4.0, 7.82), (10.0, 13.0))
