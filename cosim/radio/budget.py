"""Link budget: from power and gain to SNR, delay and energy; pure functions of arrays.

    noise = N0 b F          SNR = p g / noise          (thermal noise over the bandwidth in use)

Noise scales with the bandwidth b that a link has now, so half of the band doubles the SNR. All
arguments broadcast.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def noise_density_w_per_hz(density_dbm_per_hz: ArrayLike, noise_figure_db: ArrayLike) -> Floats:
    """Return the noise density N0 F at a receiver, W/Hz.

    Args:
        density_dbm_per_hz: thermal noise density N0; -174 dBm/Hz at 290 K.
        noise_figure_db: the receiver's noise figure F.
    """
    level_dbm = np.asarray(density_dbm_per_hz, float) + np.asarray(noise_figure_db, float)
    return np.asarray(np.power(10.0, (level_dbm - 30.0) / 10.0), float)


def snr(power_w: ArrayLike, gain: ArrayLike, noise_w: ArrayLike) -> Floats:
    """Return the linear signal-to-noise ratio p g / noise.

    Args:
        power_w: transmit power.
        gain: linear power gain of the channel.
        noise_w: noise power over the bandwidth in use, N0 F b.
    """
    received_w = np.asarray(power_w, float) * np.asarray(gain, float)
    return np.asarray(received_w / np.asarray(noise_w, float))


def delay_s(bits: ArrayLike, rate_bps: ArrayLike) -> Floats:
    """Return how long `bits` take at a constant rate: Q / R, P1 equation (10).

    P1 writes R = (W / |u_i|) log2(1 + p g / noise), the noise over W / |u_i|.

    Returns:
        Seconds; infinity where there are bits and the rate is 0, and 0 where there are no bits.
    """
    amount = np.asarray(bits, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        delay = amount / np.asarray(rate_bps, float)
    return np.asarray(np.where(amount == 0.0, 0.0, delay))
