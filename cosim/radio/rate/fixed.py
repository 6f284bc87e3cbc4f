"""A fixed rate: the whole band carries `rate`, a share of it that fraction."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.radio.rate.base import Rate
from cosim.units import BitsPerSecond


class Fixed(Rate):
    """The same rate at every SNR above 0; nothing crosses a link without gain."""

    rate_bps: Annotated[BitsPerSecond, Field(gt=0)] = 10e6

    def bps(
        self, snr: NDArray[np.float64], bandwidth_hz: float, share: float
    ) -> NDArray[np.float64]:
        """Return `rate` times the share where the SNR is above 0, shape of `snr`."""
        return np.where(np.asarray(snr) > 0.0, self.rate_bps * share, 0.0)
