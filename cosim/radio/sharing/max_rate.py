"""Greatest sum rate: in each slot each resource block goes to the flow that hears it best.

    winner(k, c) = argmax over flows f of SNR[f, k, c]

Of F flows whose SNRs are independent with the same exponential law (Rayleigh fading), the winner's
mean SNR is H_F = 1 + 1/2 + ... + 1/F times that of one flow: multi-user diversity (Knopp and
Humblet, "Information capacity and power control in single-cell multiuser communications", ICC
1995). A flow that is far away may wait for as long as others have something to send.
"""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from cosim.radio.sharing._blocks import given_to
from cosim.radio.sharing.base import Demand, Division, SharingRule
from cosim.units import Seconds


class MaxRate(SharingRule):
    """Each resource block to the flow with the best SNR in it, slot by slot.

    Attributes:
        slot_s: length of a slot. The default is a radio frame (38.211, clause 4.3.1).
    """

    exclusive: ClassVar[bool] = True

    slot_s: Annotated[Seconds, Field(gt=0)] = 10e-3

    def divide(self, demand: Demand) -> Division:
        """Return 1 for each block's winner, [F, K, C].

        Of equal SNRs the first flow's wins; a block in which nobody has an SNR stays empty.
        """
        snr = demand.snr()
        return Division(given_to(np.argmax(snr, axis=0), snr))
