"""Rate: how many bits per second a link carries at an SNR on a share of the band."""

import math
from abc import abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.plugin import Plugin

Floats = NDArray[np.float64]


def weighted_mean(values: Floats, weight: Floats | None) -> Floats:
    """Return the mean over the last axis; 0 where all weights are 0.

    Args:
        values: what is averaged, [..., C].
        weight: broadcasts to [..., C]; None for all alike.
    """
    if weight is None:
        return np.asarray(values.mean(axis=-1))
    weight = np.broadcast_to(weight, values.shape)
    total = weight.sum(axis=-1)
    summed = (values * weight).sum(axis=-1)
    return np.asarray(np.divide(summed, total, out=np.zeros(total.shape), where=total > 0.0))


class Rate(Plugin):
    """Contract of family `rate`."""

    @property
    def adapts(self) -> bool:
        """Whether the rate follows acknowledgements (outer-loop link adaptation).

        It does by an offset in dB that is carried from one channel sample to the next.
        """
        return False

    @abstractmethod
    def bps(
        self, snr: Floats, bandwidth_hz: ArrayLike, share: ArrayLike, offset_db: ArrayLike = 0.0
    ) -> Floats:
        """Return the rate, shape of `snr`, never negative or NaN.

        Args:
            snr: linear signal-to-noise ratio on the bandwidth that the link has now, [...].
            bandwidth_hz: that bandwidth (noise scales with it), broadcasts to [...]; 0 where the
                link has none, and the rate is 0.
            share: that bandwidth as a fraction of its domain's whole band, broadcasts to [...].
            offset_db: the outer loop's offset, taken from the SNR by a rate that adapts;
                broadcasts to [...].
        """

    def efficiency(self, rate_bps: Floats, bandwidth_hz: ArrayLike) -> Floats:
        """Return the bit/s/Hz of the modulation and code in use, by which packets are lost.

        Args:
            rate_bps: as `bps` returned it, [...].
            bandwidth_hz: broadcasts to [...]; 0 where the link has none, and so is the result.
        """
        bandwidth = np.broadcast_to(np.asarray(bandwidth_hz, float), rate_bps.shape)
        nothing = np.zeros(rate_bps.shape)
        return np.asarray(np.divide(rate_bps, bandwidth, out=nothing, where=bandwidth > 0.0))

    def effective_snr(self, snr: Floats, weight: Floats | None = None) -> Floats:
        """Return the one SNR that stands for those of several resource blocks.

        Args:
            snr: of each block, [..., C].
            weight: how much of each block the link has, broadcasts to [..., C]; None for all alike.
                Where all are 0, any value will do.

        Returns:
            The SNR of a flat channel that carries as much, [...]: here by capacity, log2(1 + SNR)
            averaged over the blocks that it has.
        """
        return np.asarray(np.expm1(weighted_mean(np.log1p(snr), weight)))

    def next_offset_db(self, offset_db: float, num_acks: int, num_nacks: int) -> float:
        """Return the outer loop's offset after the acknowledgements of one channel sample."""
        return offset_db

    def report_interval_s(self) -> float:
        """Return how often the receiver reports its channel; infinity if that does not matter."""
        return math.inf
