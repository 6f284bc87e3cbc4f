"""Path loss `v2v`: 3GPP TR 37.885 between vehicles (V15.3.0, section 6.2.1).

    urban, in sight           38.77 + 16.7 log d + 18.2 log f
    highway, in sight         32.4 + 20 log d + 20 log f
    a vehicle in between      as in sight, and the vehicle's loss (NLOSv)
    buildings in between      max(in sight, 36.85 + 30 log d + 18.9 log f) (NLOS)
    P(LOS), urban             min(1, 1.05 e^(-0.0114 d))
    P(LOS), highway           min(1, 2.1013e-6 d^2 - 0.002 d + 1.0193) to 475 m,
                              max(0, 0.54 - 0.001 (d - 475)) beyond

in dB, with d in m and f in GHz.

The standard finds NLOS from the map of streets, and calls NLOSv what P(LOS) leaves of one street.
There is no map here, and so `blocked_by` says which of the two states a link out of sight is in.

The vehicle's loss is 0 dB if both antennas are above its roof, (9 dB, sigma 4.5 dB) if both are
below, and (5 dB, sigma 4 dB) in between, plus max(0, 15 log d - 41) dB. The standard draws it; here
it is its mean. A reader who wants the spread sets `shadowing: {sigma: 5.4 dB}`, 3 and 4.5 dB
together.

Likewise with fading `rician`: links out of sight have no fixed wave (K = 0), where the table draws
the K-factor of NLOSv around 0 dB (sigma 4.5 dB).
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cosim.units import Metres
from cosim.world.path_loss._tr38901 import log_ghz, shadow_by_state
from cosim.world.path_loss.base import Bools, Floats, Geometry, PathLoss, Shadow

_MIN_DISTANCE_M = 1.0  # an assumption of this project; the standard names none


class V2v(PathLoss):
    """Between vehicles; nearer than 1 m counts as 1 m.

    Attributes:
        environment: `urban` or `highway`.
        blocked_by: what stands between the ends of a link out of sight, `vehicles` or `buildings`.
        blocker_height_m: height of a vehicle's roof: 1.6 m is a car, 3 m a truck or bus.
    """

    carrier_range_hz: ClassVar[tuple[float, float]] = (0.5e9, 100e9)

    environment: Literal["urban", "highway"] = "urban"
    blocked_by: Literal["vehicles", "buildings"] = "vehicles"
    blocker_height_m: Annotated[Metres, Field(gt=0)] = 1.6

    @property
    def rician_k_db(self) -> tuple[float, float]:
        """Table 6.2.3-1."""
        return (3.48, 2.0) if self.environment == "urban" else (9.0, 3.5)

    def loss_db(self, geometry: Geometry) -> Floats:
        """Loss by state of sight."""
        log_distance = np.log10(np.maximum(geometry.distance_m, _MIN_DISTANCE_M))
        log_carrier = log_ghz(geometry.carrier_hz)
        if self.environment == "urban":
            clear_db = 16.7 * log_distance + (38.77 + 18.2 * log_carrier)
        else:
            clear_db = 20.0 * log_distance + (32.4 + 20.0 * log_carrier)
        if self.blocked_by == "vehicles":
            blocked_db = clear_db + self._vehicle_db(geometry, log_distance)
        else:
            blocked_db = 30.0 * log_distance + (36.85 + 18.9 * log_carrier)
            blocked_db = np.maximum(blocked_db, clear_db)
        return np.where(geometry.line_of_sight, clear_db, blocked_db)

    def _vehicle_db(self, geometry: Geometry, log_distance: Floats) -> Floats:
        """Return the mean loss of a vehicle in between."""
        lower_m = np.minimum(geometry.low_height_m, geometry.high_height_m)
        upper_m = np.maximum(geometry.low_height_m, geometry.high_height_m)
        mean_db = np.where(upper_m < self.blocker_height_m, 9.0, 5.0)
        mean_db = mean_db + np.maximum(15.0 * log_distance - 41.0, 0.0)
        return np.where(lower_m > self.blocker_height_m, 0.0, mean_db)

    def line_of_sight_probability(self, geometry: Geometry) -> Floats:
        """P(LOS) by distance."""
        distance_m = geometry.distance_m
        if self.environment == "urban":
            return np.minimum(1.05 * np.exp(-0.0114 * distance_m), 1.0)
        near = (2.1013e-6 * distance_m - 0.002) * distance_m + 1.0193
        far = 0.54 - 0.001 * (distance_m - 475.0)
        return np.clip(np.where(distance_m <= 475.0, near, far), 0.0, 1.0)

    def shadow(self, line_of_sight: Bools) -> Shadow:
        """Sigma of Table 6.2.1-1; decorrelation of Table 6.2.3-1."""
        sigma_db = (3.0, 3.0 if self.blocked_by == "vehicles" else 4.0)
        return shadow_by_state(line_of_sight, sigma_db, (10.0, 13.0))
