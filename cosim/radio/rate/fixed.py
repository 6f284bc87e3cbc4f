"""A fixed rate: the whole band carries `rate`, a share of it that fraction."""

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from cosim.radio.rate.base import Floats, Rate
from cosim.units import BitsPerSecond


class Fixed(Rate):
    """The same rate at every SNR above 0; nothing crosses a link without gain."""

    rate_bps: Annotated[BitsPerSecond, Field(gt=0)] = 10e6

    def bps(
        self, snr: Floats, bandwidth_hz: ArrayLike, share: ArrayLike, offset_db: ArrayLike = 0.0
    ) -> Floats:
        """Return `rate` times the share where the SNR is above 0, shape of `snr`."""
        return np.where(snr > 0.0, self.rate_bps * np.asarray(share, float), 0.0)
