"""Path loss `two_ray`: the direct ray and the one that the ground reflects, interfering.

    gain = (wavelength / (4 pi))^2 |1 / d + R e^(-j phase) / d'|^2
    d'   = sqrt(ground^2 + (h1 + h2)^2),   phase = 2 pi (d' - d) / wavelength

(Rappaport, "Wireless communications", 2nd ed., section 4.6; Sommer, Joerer and Dressler, "On the
applicability of two-ray path loss models for vehicular network simulation", IEEE VNC 2012.)

This exact form is the model at all distances. Far beyond 4 pi h1 h2 / wavelength it goes to
40 log d - 20 log(h1 h2) over a perfect ground, whatever the carrier; nearer, it swings around free
space between 6 dB less and deep fades, over d^2 wavelength / (2 h1 h2) of distance.
"""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cosim.units import Metres
from cosim.world.constants import SPEED_OF_LIGHT_MPS
from cosim.world.path_loss.base import Floats, Geometry, PathLoss

# An antenna on the ground would be in a fade without end.
_MIN_HEIGHT_M = 0.01


class TwoRay(PathLoss):
    """Two rays over flat ground; antennas lower than 1 cm count as that high.

    Attributes:
        permittivity: relative permittivity of the ground without conductivity; None for a perfect
            reflection, R = -1. Dry ground has about 4, average ground 15 (ITU-R P.527).
        polarisation: of both antennas; matters with a permittivity only.
        min_distance_m: nearer devices are counted as this far apart. The default is an
            assumption of this project.
    """

    permittivity: Annotated[float, Field(gt=1, le=1e6)] | None = None
    polarisation: Literal["vertical", "horizontal"] = "vertical"
    min_distance_m: Annotated[Metres, Field(gt=0)] = 1.0

    def loss_db(self, geometry: Geometry) -> Floats:
        """-10 log10 of the gain."""
        low_m = np.maximum(geometry.low_height_m, _MIN_HEIGHT_M)
        high_m = np.maximum(geometry.high_height_m, _MIN_HEIGHT_M)
        direct_m = np.maximum(geometry.distance_m, self.min_distance_m)
        # d'^2 - d^2 = (h1 + h2)^2 - (h1 - h2)^2.
        excess_m2 = 4.0 * low_m * high_m
        reflected_m = np.sqrt(direct_m * direct_m + excess_m2)
        wavenumber = 2.0 * np.pi * geometry.carrier_hz / SPEED_OF_LIGHT_MPS
        half_sine = np.sin((0.5 * wavenumber) * excess_m2 / (direct_m + reflected_m))
        damping = self._damping((low_m + high_m) / reflected_m)
        # |1/d - D e^(-jp)/d'|^2, D = -R, written so that nothing cancels where p is small.
        apart = 1.0 / direct_m - damping / reflected_m
        power = apart * apart
        power += (4.0 * damping) * half_sine * half_sine / (direct_m * reflected_m)
        return np.asarray(20.0 * math.log10(2.0 * wavenumber) - 10.0 * np.log10(power))

    def _damping(self, sine: Floats) -> Floats | float:
        """Return -R (Fresnel) of a ray at this sine of the angle to the ground."""
        if self.permittivity is None:
            return 1.0
        inside = np.sqrt(self.permittivity - 1.0 + sine * sine)
        outside = self.permittivity * sine if self.polarisation == "vertical" else sine
        return np.asarray((inside - outside) / (inside + outside))
