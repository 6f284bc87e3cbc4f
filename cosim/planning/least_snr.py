"""The inverse of a rate model: the least SNR at which a link carries so many bits per second."""

import numpy as np
from numpy.typing import NDArray

from cosim.radio.rate.base import Rate

# SNRs of 2^-100 to 2^100 (-300 dB to 300 dB) are beyond every radio. Sixty halvings of that range
# of exponents leave less than a rounding error.
_LARGEST_EXPONENT = 100.0
_HALVINGS = 60
_ABOVE = 1.0 + 1e-12  # so that a power made of it, rounded, still reaches the rate


def least_snr(
    rate: Rate, bps: NDArray[np.float64], bandwidth_hz: float, share: float
) -> NDArray[np.float64]:
    """Return the least linear SNR at which the rate is at least `bps`, and not 0.

    By bisection, so that any rate that does not fall with the SNR will do. For Shannon's it is
    2^(bps / bandwidth) - 1.

    Args:
        rate: the rate model.
        bps: rates to reach, at least 0, [...].
        bandwidth_hz: bandwidth of the link.
        share: that as a fraction of the whole band.

    Returns:
        SNRs of the shape of `bps`: 0 where any SNR will do, infinity where none does.
    """
    wanted, inverse = np.unique(bps, return_inverse=True)

    def reached(exponent: NDArray[np.float64]) -> NDArray[np.bool_]:
        got = rate.bps(np.exp2(exponent), bandwidth_hz, share)
        return (got >= wanted) & (got > 0)

    low = np.full(wanted.shape, -_LARGEST_EXPONENT)
    high = np.full(wanted.shape, _LARGEST_EXPONENT)
    always, never = reached(low), ~reached(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = reached(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    snr = np.where(never, np.inf, np.where(always, 0.0, np.exp2(high) * _ABOVE))
    return snr[inverse].reshape(np.shape(bps))
