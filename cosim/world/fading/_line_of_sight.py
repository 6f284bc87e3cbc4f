"""The line of sight in a fading path: a wave of constant power beside the scattered ones.

    h = sqrt(K / (K + 1)) e^(j 2 pi (D cos theta + phi)) + sqrt(1 / (K + 1)) h_scattered

D is the Doppler phase in cycles. The direction theta between the wave and the relative motion and
the phase phi are uniform and addressed by link and path. Theta stays the same while a link moves,
an assumption of this project (Clarke's model has no geometry either): the shift of the line of
sight is f_d cos theta, at most the Doppler shift, and follows the speed.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.rng import Draws
from cosim.world.fading._link_draws import link_draws
from cosim.world.fading.base import FadingInstant

_PURPOSE = "line_of_sight_path"


def with_line_of_sight(
    draws: Draws,
    instant: FadingInstant,
    tap: int,
    k: ArrayLike | None,
    scattered: NDArray[np.complex128],
    cycles: ArrayLike,
) -> NDArray[np.complex128]:
    """Return a path with a line of sight in it, shape of `scattered` [...].

    Args:
        draws: the scenario's random numbers.
        instant: which links; the times are in `cycles`.
        tap: number of the path.
        k: linear K-factor, >= 0, broadcasts to [...]; None for 0.
        scattered: the other waves, of mean power 1.
        cycles: D, broadcasts to [...]; 0 if the path does not turn.
    """
    factor = np.asarray(0.0 if k is None else k, dtype=np.float64)
    if not factor.any():
        return scattered
    u = link_draws(draws, _PURPOSE, instant.low, instant.high, 2 * tap, 2)
    turns = np.cos(2.0 * np.pi * u[..., 0]) * cycles + u[..., 1]
    phase = 2.0 * np.pi * (turns - np.rint(turns))
    direct, spread = np.sqrt(factor / (factor + 1.0)), np.sqrt(1.0 / (factor + 1.0))
    # Real arithmetic: products of complex arrays may be fused, and then differ in the last bit
    # between the body and the end of an array.
    path = np.empty_like(scattered)
    path.real = direct * np.cos(phase) + spread * scattered.real
    path.imag = direct * np.sin(phase) + spread * scattered.imag
    return path
