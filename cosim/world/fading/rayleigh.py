"""Fading `rayleigh`: block Rayleigh, |h|^2 ~ Exp(1), drawn again every coherence time.

Block b of a link covers [b T, (b + 1) T); its power is -ln(1 - u), u the draw addressed by (link,
b), and its phase is uniform. Blocks are independent of each other and of motion; `rayleigh_jakes`
follows the motion.

A path with a line of sight keeps the phase of that one wave over time: within a block nothing
turns, and between blocks the scattered waves take a new phase anyway, so that turning it would
change no law of |h|.
"""

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from cosim.rng import Draws
from cosim.units import Seconds
from cosim.world.fading._blocks import block_uniform, blocks_of
from cosim.world.fading._line_of_sight import with_line_of_sight
from cosim.world.fading.base import FadingInstant, PhasedFading

_PURPOSE = "rayleigh"


class Rayleigh(PhasedFading):
    """Block Rayleigh fading.

    Attributes:
        coherence_time_s: T. The default is 0.423 / f_d (Rappaport, "Wireless communications",
            2nd ed., eq. 5.40.c) of 1.2 m/s at 3.5 GHz.
    """

    coherence_time_s: Annotated[Seconds, Field(gt=0)] = 0.03

    def power(self, draws: Draws, instant: FadingInstant) -> NDArray[np.float64]:
        """-ln(1 - u) of each link's current block."""
        return self._power(draws, instant, 0)

    def amplitude(
        self, draws: Draws, instant: FadingInstant, tap: int, k: ArrayLike | None = None
    ) -> NDArray[np.complex128]:
        """The current block's sqrt(-ln(1 - u)) e^(j phase); without `k` no line of sight."""
        blocks = blocks_of(instant.t_s, self.coherence_time_s)
        phase = 2.0 * np.pi * block_uniform(draws, f"{_PURPOSE}_phase_{tap}", instant, blocks)
        size = np.sqrt(self._power(draws, instant, tap))
        path = np.empty(instant.shape, dtype=np.complex128)
        path.real = size * np.cos(phase)
        path.imag = size * np.sin(phase)
        return with_line_of_sight(draws, instant, tap, k, path, cycles=0.0)

    def sample_interval_s(self, max_doppler_hz: float) -> float:
        """Every block."""
        return self.coherence_time_s

    def _power(self, draws: Draws, instant: FadingInstant, tap: int) -> NDArray[np.float64]:
        purpose = f"{_PURPOSE}_{tap}" if tap else _PURPOSE
        blocks = blocks_of(instant.t_s, self.coherence_time_s)
        return -np.log1p(-block_uniform(draws, purpose, instant, blocks))
