"""Packet error: the probability that one transmission of one packet is lost."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin


class PacketError(Plugin):
    """Contract of family `error`.

    Attributes:
        depends_on_snr: whether the probability changes with the SNR. Where it does not, losses
            are known before the channel is, and a transfer is timed with less work.
    """

    depends_on_snr: ClassVar[bool] = True

    @abstractmethod
    def probability(
        self, snr: NDArray[np.float64], packet_bits: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return loss probabilities in [0, 1].

        Args:
            snr: linear SNR at the start of each transmission, [K].
            packet_bits: bits on the air of each transmission, headers included, [K].
        """
