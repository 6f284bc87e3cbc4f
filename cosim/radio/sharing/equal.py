"""Equal shares: each of the F active flows gets 1/F of the band.

With one domain per transmitter this is P1's W / |u_i|, of the flows that are active now.
"""

from typing import ClassVar

import numpy as np

from cosim.radio.sharing.base import Demand, Division, SharingRule


class Equal(SharingRule):
    """The band divided by the number of flows."""

    by_number: ClassVar[bool] = True

    def divide(self, demand: Demand) -> Division:
        """Return 1/F for each flow and slot, [F, K, 1]."""
        shape = (demand.num_flows, demand.num_slots, 1)
        return Division(np.full(shape, 1.0 / max(demand.num_flows, 1)))
