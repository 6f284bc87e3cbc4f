"""Fixed packet error: every transmission is lost with the same probability, independently."""

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from cosim.radio.error.base import Floats, PacketError


class Fixed(PacketError):
    """Independent losses. With ARQ, attempts are geometric and rate^attempts stay lost."""

    depends_on_snr: ClassVar[bool] = False

    rate: Annotated[float, Field(ge=0, le=1)] = 0.01

    def probability(self, snr: Floats, packet_bits: ArrayLike, efficiency: ArrayLike) -> Floats:
        """Return `rate` for each transmission, shape of `snr`."""
        return np.full(np.shape(snr), self.rate)
