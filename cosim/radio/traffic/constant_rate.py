"""Traffic `constant_rate`: packets of one size at equal gaps.

    t_n = (phase + n) gap,    gap = 8 size / rate

The phase is uniform in [0, 1) and a device's own, so that the process is stationary from time 0
on and devices do not send in step.
"""

from collections.abc import Iterator
from itertools import count
from typing import Annotated

from pydantic import Field

from cosim.radio.traffic._packets import WholeBytes
from cosim.radio.traffic.base import Burst, Traffic
from cosim.rng import Draws
from cosim.units import BitsPerSecond


class ConstantRate(Traffic):
    """One packet every 8 size / rate.

    The defaults are a G.711 voice: 64 kbit/s in packets of 20 ms (RFC 3551, section 4.5.14),
    headers left out.

    Attributes:
        rate_bps: of the packets' bits.
        size_bytes: size of a packet.
    """

    rate_bps: Annotated[BitsPerSecond, Field(gt=0)] = 64e3
    size_bytes: WholeBytes = 160.0

    def bursts(self, draws: Draws, device: int) -> Iterator[Burst]:
        """Yield packets for ever."""
        phase = draws.generator("constant_rate_traffic", device).random()
        gap_s = 8.0 * self.size_bytes / self.rate_bps
        num_bytes = int(self.size_bytes)
        for number in count():
            yield Burst((phase + number) * gap_s, num_bytes)
