"""Equal shares: each of the F active flows gets 1/F of the band.

With one domain per transmitter this is P1's W / |u_i|, of the flows that are active now.
"""

import numpy as np
from numpy.typing import NDArray

from cosim.radio.sharing.base import Demand, SharingRule


class Equal(SharingRule):
    """The band divided by the number of flows."""

    def shares(self, demand: Demand) -> NDArray[np.float64]:
        """Return 1/F for each flow, [F]."""
        return np.full(demand.num_flows, 1.0 / max(demand.num_flows, 1))
