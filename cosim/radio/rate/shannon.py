"""Shannon's rate with an SNR gap: R = b log2(1 + SNR / G)."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from cosim.radio.rate.base import Floats, Rate
from cosim.units import Decibels


class Shannon(Rate):
    """Capacity of the link's share of the band, `gap` short of the bound.

    A gap of 0 dB is the bound itself. Uncoded QAM at bit error rate BER has
    G = -ln(5 BER) / 1.5, see `qam_gap_db`.
    """

    gap_db: Annotated[Decibels, Field(ge=0)] = 0.0

    def bps(
        self, snr: Floats, bandwidth_hz: ArrayLike, share: ArrayLike, offset_db: ArrayLike = 0.0
    ) -> Floats:
        """Return b log2(1 + SNR / G), shape of `snr`."""
        gap = 10.0 ** (self.gap_db / 10.0)
        # log1p keeps its digits where the SNR is far below 1.
        nats = np.log1p(snr if gap == 1.0 else snr / gap)
        return np.asarray(nats * (np.asarray(bandwidth_hz, float) / math.log(2.0)))


def qam_gap_db(bit_error_rate: float) -> float:
    """Return the gap of uncoded QAM, G = -ln(5 BER) / 1.5 in dB: 7.43 dB at 5e-5.

    Source: Goldsmith and Chua, IEEE Trans. Commun. 45(10), 1997, equation (27).

    Raises:
        ValueError: a rate outside (0, 0.2), where the approximation has no meaning.
    """
    if not 0.0 < bit_error_rate < 0.2:
        raise ValueError(f"expected a bit error rate in (0, 0.2), got {bit_error_rate}")
    return 10.0 * math.log10(-math.log(5.0 * bit_error_rate) / 1.5)
