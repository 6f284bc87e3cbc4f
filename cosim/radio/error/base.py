"""Packet error: the probability that one transmission of one packet is lost."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.plugin import Plugin

Floats = NDArray[np.float64]


class PacketError(Plugin):
    """Contract of family `error`.

    Attributes:
        depends_on_snr: whether the probability changes with the SNR. Where it does not, losses
            are known before the channel is, and a transfer is timed with less work.
    """

    depends_on_snr: ClassVar[bool] = True

    @abstractmethod
    def probability(self, snr: Floats, packet_bits: ArrayLike, efficiency: ArrayLike) -> Floats:
        """Return loss probabilities in [0, 1], shape of `snr`.

        Args:
            snr: linear SNR at the start of each transmission, [...]; with combining, the sum over
                the transmissions of one packet.
            packet_bits: bits on the air of each transmission, headers included; broadcasts.
            efficiency: information rate over bandwidth at that instant, bit/s/Hz; broadcasts.
        """
