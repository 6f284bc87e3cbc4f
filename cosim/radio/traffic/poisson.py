"""Traffic `poisson`: packets at independent exponential gaps, of one size or of a random one.

Packets come at rate lambda = rate / (8 size). The process is stationary from time 0 on: the first
gap has the same law as all others. With exponential sizes and a link of fixed rate this is the
M/M/1 of queueing theory, with fixed sizes M/D/1.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.radio.traffic._packets import WholeBytes, stretches
from cosim.radio.traffic.base import Burst, Traffic
from cosim.rng import Draws
from cosim.units import BitsPerSecond


class Poisson(Traffic):
    """Poisson arrivals.

    Attributes:
        rate_bps: mean rate. The default is an assumption: light use beside the model updates.
        size_bytes: size of a packet, or its mean.
        size_law: `fixed`, or `exponential` in whole bytes: geometric with mean `size`, exactly.
    """

    rate_bps: Annotated[BitsPerSecond, Field(gt=0)] = 200e3
    size_bytes: WholeBytes = 1500.0
    size_law: Literal["fixed", "exponential"] = "fixed"

    def bursts(self, draws: Draws, device: int) -> Iterator[Burst]:
        """Yield packets for ever."""
        generator = draws.generator("poisson_traffic", device)
        mean_gap_s = 8.0 * self.size_bytes / self.rate_bps
        t_s = 0.0
        for num in stretches():
            u = generator.random((num, 2))
            gaps_s = -mean_gap_s * np.log1p(-u[:, 0])
            times_s = np.cumsum(np.concatenate([[t_s], gaps_s]))[1:].tolist()
            yield from map(Burst, times_s, self._sizes(u[:, 1]))
            t_s = times_s[-1]

    def _sizes(self, u: NDArray[np.float64]) -> list[int]:
        """Return sizes in bytes, [n]."""
        if self.size_law == "fixed" or self.size_bytes == 1:
            return [int(self.size_bytes)] * len(u)
        log_tail = math.log1p(-1.0 / self.size_bytes)  # P(size > n) = (1 - 1/mean)^n
        sizes: list[int] = np.maximum(np.ceil(np.log1p(-u) / log_tail), 1.0).astype(int).tolist()
        return sizes
