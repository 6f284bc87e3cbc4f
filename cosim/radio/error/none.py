"""No packet error: every transmission arrives."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cosim.radio.error.base import Floats, PacketError


class Perfect(PacketError):
    """A link that loses nothing."""

    depends_on_snr: ClassVar[bool] = False

    def probability(self, snr: Floats, packet_bits: ArrayLike, efficiency: ArrayLike) -> Floats:
        """Return zeros, shape of `snr`."""
        return np.zeros(np.shape(snr))
