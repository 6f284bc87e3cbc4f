"""No packet error: every transmission arrives."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cosim.radio.error.base import PacketError


class Perfect(PacketError):
    """A link that loses nothing."""

    depends_on_snr: ClassVar[bool] = False

    def probability(
        self, snr: NDArray[np.float64], packet_bits: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return zeros, [K]."""
        return np.zeros(np.shape(snr))
