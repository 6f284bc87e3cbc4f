"""Traffic `on_off`: a source that is on and off for exponential times, at constant rate while on.

    mean rate = rate * on / (on + off)

The start is stationary: the source is on with probability on / (on + off), and as exponential
times have no memory, what is left of the first has the law of all. Packets tick on a clock that
runs only while the source is on, from a uniform phase: a gap that an end of an on time cuts goes
on in the next, so that the mean rate is exact however short the on times are.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.radio.traffic._packets import WholeBytes, stretches
from cosim.radio.traffic.base import Burst, Traffic
from cosim.rng import Draws
from cosim.units import BitsPerSecond, Seconds

Floats = NDArray[np.float64]


class OnOff(Traffic):
    """Exponential on and off times; packets of one size at equal gaps while on.

    The defaults are one side of a conversation: talk spurts and pauses of ITU-T P.59 on average,
    G.711 voice in packets of 20 ms (RFC 3551, section 4.5.14), headers left out.

    Attributes:
        rate_bps: of the packets' bits while on.
        size_bytes: size of a packet.
        on_s: mean time on.
        off_s: mean time off.
    """

    rate_bps: Annotated[BitsPerSecond, Field(gt=0)] = 64e3
    size_bytes: WholeBytes = 160.0
    on_s: Annotated[Seconds, Field(gt=0)] = 1.004
    off_s: Annotated[Seconds, Field(gt=0)] = 1.587

    def bursts(self, draws: Draws, device: int) -> Iterator[Burst]:
        """Yield packets for ever."""
        generator = draws.generator("on_off_traffic", device)
        phase, is_on = generator.random(2)
        starts_on = bool(is_on < self.on_s / (self.on_s + self.off_s))
        gap_s = 8.0 * self.size_bytes / self.rate_bps
        periods = self._periods(generator, starts_on)
        # On times by the clock of on time, and how much off time lies before each.
        ends_s, before_s = next(periods)
        first = 0
        for num in stretches():
            ticks_s = (phase + np.arange(first, first + num)) * gap_s  # by the clock of on time
            while ends_s[-1] <= ticks_s[-1]:
                more_ends_s, more_before_s = next(periods)
                ends_s = np.concatenate([ends_s, more_ends_s])
                before_s = np.concatenate([before_s, more_before_s])
            period = np.searchsorted(ends_s, ticks_s, side="right")
            for t_s in (ticks_s + before_s[period]).tolist():
                yield Burst(t_s, int(self.size_bytes))
            ends_s, before_s = ends_s[period[-1] :], before_s[period[-1] :]
            first += num

    def _periods(
        self, generator: np.random.Generator, starts_on: bool
    ) -> Iterator[tuple[Floats, Floats]]:
        """Yield stretches of on times: ends by the clock of on time, and off time before each."""
        so_far_s, is_first = np.zeros((1, 2)), True
        for num in stretches():
            times_s = -np.log1p(-generator.random((num, 2))) * (self.on_s, self.off_s)
            if is_first and starts_on:
                times_s[0, 1] = 0.0
            sums_s = np.cumsum(np.concatenate([so_far_s, times_s]), axis=0)[1:]
            yield sums_s[:, 0], sums_s[:, 1]
            so_far_s, is_first = sums_s[-1:], False
