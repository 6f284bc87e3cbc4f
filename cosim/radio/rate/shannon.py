"""Shannon's rate with an SNR gap: R = b min(log2(1 + SNR / G), cap)."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from cosim.radio.rate.base import Floats, Rate
from cosim.units import Decibels


class Shannon(Rate):
    """Capacity of the link's share of the band, `gap` short of the bound.

    A gap of 0 dB is the bound itself. Uncoded QAM at bit error rate BER has G = -ln(5 BER) / 1.5:
    7.43 dB at 5e-5 (Goldsmith and Chua, IEEE Trans. Commun. 45(10), 1997, equation (27)).
    `max_efficiency` is that of the densest modulation and code, in bit/s/Hz, such as 7.4 of
    256-QAM (38.214, Table 5.2.2.1-3); without it there is no densest.
    """

    gap_db: Annotated[Decibels, Field(ge=0)] = 0.0
    max_efficiency: Annotated[float, Field(gt=0)] | None = None

    def bps(
        self, snr: Floats, bandwidth_hz: ArrayLike, share: ArrayLike, offset_db: ArrayLike = 0.0
    ) -> Floats:
        """Return b log2(1 + SNR / G), shape of `snr`."""
        gap = 10.0 ** (self.gap_db / 10.0)
        # log1p keeps its digits where the SNR is far below 1.
        nats = np.log1p(snr if gap == 1.0 else snr / gap)
        if self.max_efficiency is not None:
            nats = np.minimum(nats, self.max_efficiency * math.log(2.0))
        return np.asarray(nats * (np.asarray(bandwidth_hz, float) / math.log(2.0)))
