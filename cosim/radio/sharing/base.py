"""Sharing: how the flows that are active in one OFDMA domain divide its band."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin


@dataclass(frozen=True)
class Demand:
    """The flows that are active now in one domain.

    What costs something to find is a function, because not every rule needs it.

    Attributes:
        num_flows: F.
        gain_to_noise: returns what each flow's SNR would be with all of the band, at its
            transmit power, [F].
        remaining_bits: returns the bits that each flow still has to serve if none is lost from
            now on, [F].
    """

    num_flows: int
    gain_to_noise: Callable[[], NDArray[np.float64]]
    remaining_bits: Callable[[], NDArray[np.float64]]


class SharingRule(Plugin):
    """Contract of family `rule`."""

    @abstractmethod
    def shares(self, demand: Demand) -> NDArray[np.float64]:
        """Return each flow's fraction of the band, [F], at least 0, summing to at most 1."""
