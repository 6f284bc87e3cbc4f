"""Delay profile `tdl`: the tapped delay lines of 3GPP TR 38.901, Tables 7.7.2-1 to 7.7.2-5.

The tables' delays are normalised: their rms delay spread is 1 (A, B, C, E to 2e-4; D, as printed,
0.994), and they are scaled by the one that is wanted (section 7.7.3). Their powers sum to 1 after
scaling. A, B and C are profiles out of sight, all paths Rayleigh fading. D and E are in sight: the
first path has a K-factor of 13.3 and 22 dB, for every link, if the fading is not `rician`, which
has a K-factor of its own for each link.

The report puts the line of sight of D and E at 0.7 of the Doppler shift; here each link's is
f_d cos(theta), theta addressed.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cosim.units import Seconds
from cosim.world.delay_profile.base import DelayProfile, Taps

# Normalised delay and power in dB of each row; the first row of D and E is the line of sight.
# fmt: off
_ROWS: dict[str, tuple[tuple[float, float], ...]] = {
    "A": (
        (0.0000, -13.4), (0.3819, 0.0), (0.4025, -2.2), (0.5868, -4.0), (0.4610, -6.0),
        (0.5375, -8.2), (0.6708, -9.9), (0.5750, -10.5), (0.7618, -7.5), (1.5375, -15.9),
        (1.8978, -6.6), (2.2242, -16.7), (2.1718, -12.4), (2.4942, -15.2), (2.5119, -10.8),
        (3.0582, -11.3), (4.0810, -12.7), (4.4579, -16.2), (4.5695, -18.3), (4.7966, -18.9),
        (5.0066, -16.6), (5.3043, -19.9), (9.6586, -29.7),
    ),
    "B": (
        (0.0000, 0.0), (0.1072, -2.2), (0.2155, -4.0), (0.2095, -3.2), (0.2870, -9.8),
        (0.2986, -1.2), (0.3752, -3.4), (0.5055, -5.2), (0.3681, -7.6), (0.3697, -3.0),
        (0.5700, -8.9), (0.5283, -9.0), (1.1021, -4.8), (1.2756, -5.7), (1.5474, -7.5),
        (1.7842, -1.9), (2.0169, -7.6), (2.8294, -12.2), (3.0219, -9.8), (3.6187, -11.4),
        (4.1067, -14.9), (4.2790, -9.2), (4.7834, -11.3),
    ),
    "C": (
        (0.0000, -4.4), (0.2099, -1.2), (0.2219, -3.5), (0.2329, -5.2), (0.2176, -2.5),
        (0.6366, 0.0), (0.6448, -2.2), (0.6560, -3.9), (0.6584, -7.4), (0.7935, -7.1),
        (0.8213, -10.7), (0.9336, -11.1), (1.2285, -5.1), (1.3083, -6.8), (2.1704, -8.7),
        (2.7105, -13.2), (4.2589, -13.9), (4.6003, -13.9), (5.4902, -15.8), (5.6077, -17.1),
        (6.3065, -16.0), (6.6374, -15.7), (7.0427, -21.6), (8.6523, -22.8),
    ),
    "D": (
        (0.000, -0.2), (0.000, -13.5), (0.035, -18.8), (0.612, -21.0), (1.363, -22.8),
        (1.405, -17.9), (1.804, -20.1), (2.596, -21.9), (1.775, -22.9), (4.042, -27.8),
        (7.937, -23.6), (9.424, -24.8), (9.708, -30.0), (12.525, -27.7),
    ),
    "E": (
        (0.0000, -0.03), (0.0000, -22.03), (0.5133, -15.8), (0.5440, -18.1), (0.5630, -19.8),
        (0.5440, -22.9), (0.7112, -22.4), (1.9092, -18.6), (1.9293, -20.8), (1.9589, -22.6),
        (2.6426, -22.3), (3.7136, -25.6), (5.4524, -20.2), (12.0034, -29.8), (20.6519, -29.2),
    ),
}
# fmt: on
_IN_SIGHT = ("D", "E")


class Tdl(DelayProfile):
    """A tapped delay line of TR 38.901.

    Attributes:
        profile: A, B, C (out of sight), D or E (in sight).
        delay_spread_s: rms delay spread. The default is the nominal one of Table 7.7.3-1; others
            there are 10 ns (very short), 30 ns, 300 ns and 1000 ns (very long).
    """

    profile: Literal["A", "B", "C", "D", "E"] = "A"
    delay_spread_s: Annotated[Seconds, Field(gt=0)] = 100e-9

    def taps(self) -> Taps:
        """The table's paths in the order of their delays, 23, 23, 24, 13 or 14 of them."""
        delay, power_db = np.array(_ROWS[self.profile]).T
        power = 10.0 ** (power_db / 10.0)
        k = np.zeros(power.size)
        if self.profile in _IN_SIGHT:
            k[1] = power[0] / power[1]
            power[1] += power[0]
            delay, power, k = delay[1:], power[1:], k[1:]
        order = np.argsort(delay, kind="stable")
        return Taps(delay[order] * self.delay_spread_s, power[order] / power.sum(), k[order])
