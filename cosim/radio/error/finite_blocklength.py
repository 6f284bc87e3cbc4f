"""Finite blocklength: the packet error of the best code of the packet's length.

Normal approximation of Polyanskiy, Poor and Verdu, IEEE Trans. Inf. Theory 56(5), 2010, for the
complex AWGN channel:

    e = Q( sqrt(n / V) (C - R) ln 2 )    C = log2(1 + SNR), V = 1 - (1 + SNR)^-2

with R the efficiency and n = bits / R the channel uses of the packet.

A transmitter that sends at capacity loses every second packet: with the rate `shannon` and a gap
of 0 dB, R = C and e = 1/2 at every SNR. A gap of 1 to 3 dB gives the code its room.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from cosim.radio.error.base import Floats, PacketError


class FiniteBlocklength(PacketError):
    """Losses of the best code at finite length; with combining, of the summed SNR.

    Attributes:
        log_term: whether to add the third term of the expansion, log2(n) / (2 n) to C - R.
    """

    log_term: bool = False

    def probability(self, snr: Floats, packet_bits: ArrayLike, efficiency: ArrayLike) -> Floats:
        """Return e, shape of `snr`; 1 where the efficiency is 0, and nothing is sent."""
        rate = np.asarray(efficiency, float)
        is_sent = rate > 0.0
        rate = np.where(is_sent, rate, 1.0)
        uses = np.asarray(packet_bits, float) / rate
        # V = (SNR / (1 + SNR)) (1 + 1 / (1 + SNR)) keeps its digits at any SNR.
        inverse = 1.0 / (1.0 + snr)
        dispersion = snr * inverse * (1.0 + inverse)
        room = np.log1p(snr) - rate * math.log(2.0)
        if self.log_term:
            room = room + np.log(uses) / (2.0 * uses)
        with np.errstate(divide="ignore", over="ignore"):  # SNR 0: below any rate
            distance = room * np.sqrt(uses / dispersion)
        return np.where(is_sent, ndtr(-distance), 1.0)
