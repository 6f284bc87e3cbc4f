"""Delay profile: how a channel's power is spread over the delays of its paths.

The channel at an offset f from the carrier is the sum over paths (taps) l

    H(f, t) = sum_l sqrt(p_l) h_l(t) e^(-j 2 pi f tau_l),   sum_l p_l = 1

with the h_l fading independently, each with E|h_l|^2 = 1.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin


@dataclass(frozen=True)
class Taps:
    """The paths of a channel.

    Attributes:
        delay_s: tau_l, ascending from 0, [L].
        power: p_l, linear, summing to 1, [L].
        k: Rician K-factor of each tap, linear; 0 is Rayleigh, [L].
    """

    delay_s: NDArray[np.float64]
    power: NDArray[np.float64]
    k: NDArray[np.float64]

    def response_power(
        self, amplitudes: NDArray[np.complex128], offset_hz: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return |H(f)|^2 [..., C].

        Each value is the same to the last bit, however many others are asked for with it, which
        that of a matrix product would not be.

        Args:
            amplitudes: sqrt(p_l) h_l of every path, [..., L].
            offset_hz: frequencies relative to the carrier, [C].
        """
        turns = 2.0 * np.pi * np.outer(offset_hz, self.delay_s)  # [C, L]
        cosine, sine = np.cos(turns), np.sin(turns)
        # In the order of the numbers of a complex array, real and imaginary part of every path.
        to_real = np.stack([cosine, sine], axis=-1).reshape(offset_hz.size, -1)  # [C, 2 L]
        to_imaginary = np.stack([-sine, cosine], axis=-1).reshape(offset_hz.size, -1)
        paths = np.ascontiguousarray(amplitudes).view(np.float64)  # [..., 2 L]
        real = np.einsum("...l,cl->...c", paths, to_real)
        imaginary = np.einsum("...l,cl->...c", paths, to_imaginary)
        power: NDArray[np.float64] = real * real + imaginary * imaginary
        return power


class DelayProfile(Plugin):
    """Contract of family `delay_profile`."""

    @abstractmethod
    def taps(self) -> Taps | None:
        """Return the paths; None for a channel that is flat over the band."""
