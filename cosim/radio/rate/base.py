"""Rate: how many bits per second a link carries at an SNR on a share of the band."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin


class Rate(Plugin):
    """Contract of family `rate`."""

    @abstractmethod
    def bps(
        self, snr: NDArray[np.float64], bandwidth_hz: float, share: float
    ) -> NDArray[np.float64]:
        """Return the rate, shape of `snr`, never negative or NaN.

        Args:
            snr: linear signal-to-noise ratio on the bandwidth that the link has now, [...].
            bandwidth_hz: that bandwidth (noise scales with it).
            share: that bandwidth as a fraction of its domain's whole band, in (0, 1].
        """
