"""CQI block errors: the losses of practical modulation and coding around its 10 % SNR.

In dB, a block's error rate falls like the tail of a normal distribution,

    BLER = Q( (SNR_dB - S) / width + Q^-1(0.1) )

and is exactly 10 % at S, the SNR that the efficiency in use needs. For a row of the CQI table S is
the table's (`cosim/radio/cqi.py`); between rows the gap to capacity, S - 10 log10(2^efficiency
- 1) dB, is interpolated linearly in the efficiency, and it is constant beyond the ends.

A packet of n bits is ceil(n / 6144) code blocks (3GPP TS 36.212, 5.1.2), and is lost with any of
them, e = 1 - (1 - BLER)^blocks. That takes blocks to fail independently, and all lengths of a
block to have one curve, that of 6144 bits; blocks of 500 need 0.2 to 0.5 dB more (Sionna's tables).
"""

import math
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field
from scipy.special import ndtr, ndtri

from cosim.radio.cqi import TABLES, TableName
from cosim.radio.error.base import Floats, PacketError
from cosim.units import Decibels

BLOCK_BITS = 6144
"""Largest code block: 3GPP TS 36.212, 5.1.2."""

_AT_THRESHOLD = float(ndtri(0.1))  # a block loss of 10 % there


class CqiBler(PacketError):
    """Block error curves of the CQI table; with combining, at the summed SNR.

    Attributes:
        table: by its highest modulation; that of the rate `cqi`, if that is the rate.
        width_db: standard deviation of the curve: from 90 % to 10 % of the blocks lost are 2.56
            of it. Measured with the table's SNRs: 0.09 to 0.23 dB, the median 0.15.
    """

    table: TableName = "64qam"
    width_db: Annotated[Decibels, Field(gt=0)] = 0.15

    def probability(self, snr: Floats, packet_bits: ArrayLike, efficiency: ArrayLike) -> Floats:
        """Return e, shape of `snr`; 1 where the efficiency is 0, and nothing is sent."""
        rate = np.asarray(efficiency, float)
        is_sent = rate > 0.0
        rate = np.where(is_sent, rate, 1.0)
        # SNR 0, blocks that are lost for certain, and efficiencies that no SNR will do for.
        with np.errstate(divide="ignore", over="ignore"):
            capacity_snr = np.expm1(rate * math.log(2.0))
            surplus_db = 10.0 * np.log10(snr / capacity_snr) - TABLES[self.table].gap_db(rate)
            block_loss = ndtr(_AT_THRESHOLD - surplus_db / self.width_db)
            blocks = np.ceil(np.asarray(packet_bits, float) / BLOCK_BITS)
            loss = -np.expm1(blocks * np.log1p(-block_loss))
        return np.where(is_sent, loss, 1.0)
