"""Delay equalising: shares on which all flows would finish at the same time (P3's allocation).

    s with sum s = 1 and q_f / r_f(s_f) = T for all f, T as small as possible

q_f are the bits that flow f had still to serve when a flow of the domain last started or ended.
As all are served in proportion to q, what is left stays in that proportion, so q need not be asked
for again in each slot; a flow that loses packets finishes later by what it has to send again. A
flow without a gain (SNR 0) gets nothing, and the others do not wait for it.
"""

from typing import Annotated

from pydantic import Field

from cosim.radio.equalise import equalise
from cosim.radio.sharing.base import Demand, Division, SharingRule
from cosim.units import Seconds


class DelayEqualising(SharingRule):
    """The same time to finish for all flows.

    Attributes:
        slot_s: length of a slot; None to divide only when flows start and end. The default is a
            radio frame (38.211, clause 4.3.1).
    """

    slot_s: Annotated[Seconds, Field(gt=0)] | None = 10e-3

    def divide(self, demand: Demand) -> Division:
        """Return the fraction of all blocks alike that each flow has, [F, K, 1]."""
        return Division(equalise(demand.rate_bps, demand.remaining_bits(), demand.num_slots))
