"""Weighted shares: s_f = w_f / sum of the active flows' weights, whatever the channel is."""

import numpy as np

from cosim.radio.sharing.base import Demand, Division, SharingRule


class Weighted(SharingRule):
    """The band in proportion to the flows' weights."""

    def divide(self, demand: Demand) -> Division:
        """Return w_f / sum w for each flow and slot, [F, K, 1]."""
        share = demand.weight / demand.weight.sum()
        return Division(np.repeat(share[:, np.newaxis, np.newaxis], demand.num_slots, axis=1))
