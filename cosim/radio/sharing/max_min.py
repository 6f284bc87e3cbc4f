"""Max-min fair: shares on which all flows have the same rate, the greatest that there is.

    s with sum s = 1 and r_f(s_f) = t for all f, t as large as possible

A flow that sends with all its power in a share s has the SNR snr / s there, so for Shannon's rate
r_f(s) = s W log2(1 + snr_f / s), which grows with s: the least rate is the largest when all are
equal. A flow without a gain (SNR 0) gets nothing, and the others do not wait for it.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.radio.equalise import equalise
from cosim.radio.sharing.base import Demand, Division, SharingRule
from cosim.units import Seconds


class MaxMin(SharingRule):
    """The same rate for all flows.

    Attributes:
        slot_s: length of a slot; None to divide only when flows start and end. The default is a
            radio frame (38.211, clause 4.3.1).
    """

    slot_s: Annotated[Seconds, Field(gt=0)] | None = 10e-3

    def divide(self, demand: Demand) -> Division:
        """Return the fraction of all blocks alike that each flow has, [F, K, 1]."""
        alike = np.ones(demand.num_flows)
        return Division(equalise(demand.rate_bps, alike, demand.num_slots))
