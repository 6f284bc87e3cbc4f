"""Resource blocks that are given whole to one flow each."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def given_to(winner: NDArray[np.intp], worth: Floats) -> Floats:
    """Return shares [F, K, C]: 1 where a flow wins a block that is worth something to it.

    Args:
        winner: number of the flow that wins each block in each slot, [K, C].
        worth: of each block to each flow, at least 0, [F, K, C].
    """
    flows = np.arange(len(worth))[:, np.newaxis, np.newaxis]
    return np.asarray((flows == winner) & (worth > 0.0), dtype=np.float64)
