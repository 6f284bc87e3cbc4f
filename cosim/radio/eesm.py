"""Exponential effective SNR mapping: one SNR for the resource blocks of a selective channel.

    SNR_eff = -beta ln(mean e^(-SNR / beta))

A flat channel of SNR_eff has as many block errors as the selective one; beta depends on modulation
and code (3GPP TR 25.892, annex A). It lies between the least SNR and the mean.
"""

import numpy as np

from cosim.radio.rate.base import Floats, weighted_mean


def eesm(snr: Floats, beta: Floats, weight: Floats | None = None) -> Floats:
    """Return the effective SNR over the last axis, [...]; exactly the SNR of a flat channel.

    Args:
        snr: linear, of each block, [..., C].
        beta: above 0, broadcasts to [...].
        weight: of each block in the mean, broadcasts to [..., C]; None for all alike. Where all
            are 0, so is the result.
    """
    if weight is not None:
        snr = np.where(weight > 0.0, snr, np.inf)
    # Counted from the least SNR: far above beta, e^(-SNR / beta) would be 0 for every block.
    least = snr.min(axis=-1)
    if weight is not None:
        least = np.where(np.isinf(least), 0.0, least)
    scaled = least[..., np.newaxis] - snr
    scaled /= np.asarray(beta)[..., np.newaxis]
    mean = weighted_mean(np.exp(scaled, out=scaled), weight)
    # Nowhere is a mean 0 but where all weights are: the least block alone gives its weight.
    return np.asarray(least - beta * np.log(np.where(mean > 0.0, mean, 1.0)))
