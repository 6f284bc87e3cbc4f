"""What a round costs in time: links that send one update each, and share bands by weights.

    R_l = rate(SNR_l, s_l W)         tau = max_l Q_l / R_l

The shares of the links of one band sum to 1. They are best where all links of the band need the
same time: P3's Lemma 2, beta_k = x_k / sum x with x_k = 1 / log2(1 + SNR_k), where an SNR does not
depend on the share, and by search where it does.

The two conventions of noise: over the `share`, N0 F s W, as a receiver of OFDMA has it and as links
are simulated; or over the whole `band`, N0 F W, as P3 writes its SNR.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cosim.planning.update_bits import UpdateBits
from cosim.radio import budget
from cosim.radio.equalise import equalise
from cosim.radio.rate.base import Rate

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Noise = Literal["share", "band"]


@dataclass(frozen=True)
class SharedLinks:
    """Directed links of known power, [L] each; a multicast is one: that to its worst receiver.

    Attributes:
        src, dst: transmitter and receiver.
        band: which band each link has a share of: links of one number share one.
        power_w: transmit power.
        gain: linear power gain, averaged over fading.
        noise_w_per_hz: noise density at the receiver, N0 F.
        bandwidth_hz: W, of each band.
        rate: the rate model.
        participation: part of the links that send in one round. A link then has 1 / participation
            of the band that it would have if all did, which is so on average.
    """

    src: Ints
    dst: Ints
    band: Ints
    power_w: Floats
    gain: Floats
    noise_w_per_hz: Floats
    bandwidth_hz: float
    rate: Rate
    participation: float = 1.0

    def rate_bps(self, share: Floats, noise: Noise) -> Floats:
        """Return R of each link at its share of the band, both [..., L]; 0 for no share."""
        return self._rate_bps(slice(None), share, noise)

    def delay_s(self, bits: Floats, share: Floats, noise: Noise) -> Floats:
        """Return Q / R of each link, (10) of P1: infinity where there is no rate; all [..., L]."""
        return budget.delay_s(bits, self.rate_bps(share, noise))

    def equal_shares(self) -> Floats:
        """Return 1 / n for each of the n links of a band, [L]."""
        return np.asarray(1.0 / np.bincount(self.band)[self.band])

    def best_shares(self, bits: Floats, noise: Noise) -> Floats:
        """Return the shares at which the links of each band need the same, least time, [K, L].

        A link of no bits or no rate gets none, and the others do not wait for it.

        Args:
            bits: Q of each link, in K cases, [K, L].
            noise: the convention.
        """
        shares = np.zeros(bits.shape)
        for at in self._bands():
            shares[:, at] = self._equalised(at, bits[:, at], noise)
        return shares

    def round_s(self, bits: Floats, share: Floats, noise: Noise) -> Floats:
        """Return tau, [...]: until the last link is done, of those that get done at all.

        It is infinite if none does, and 0 without links.
        """
        delay_s = self.delay_s(bits, share, noise)
        if delay_s.shape[-1] == 0:
            return np.zeros(delay_s.shape[:-1])
        done = np.isfinite(delay_s)
        last_s = np.where(done, delay_s, 0.0).max(axis=-1)
        return np.where(done.any(axis=-1), last_s, np.inf)

    def _bands(self) -> Iterator[Ints]:
        order = np.argsort(self.band, kind="stable")
        ends = np.flatnonzero(np.diff(self.band[order])) + 1
        return (at for at in np.split(order, ends) if len(at))

    def _equalised(self, at: Ints, bits: Floats, noise: Noise) -> Floats:
        num_cases, sends = len(bits), (bits > 0.0).all(axis=0)
        divisor = np.where(sends, bits, 1.0)

        def speed(share: Floats) -> Floats:  # [F, K, 1] -> updates per second [F, K]
            return (self._rate_bps(at, share[:, :, 0].T, noise) / divisor).T

        return equalise(speed, np.asarray(sends, float), num_cases)[:, :, 0].T

    def _rate_bps(self, at: Ints | slice, share: Floats, noise: Noise) -> Floats:
        has = share > 0.0
        part = np.where(has, share, 1.0) / self.participation
        noise_hz = self.bandwidth_hz * (part if noise == "share" else np.ones(part.shape))
        snr = budget.snr(self.power_w[at], self.gain[at], self.noise_w_per_hz[at] * noise_hz)
        return np.where(has, self.rate.bps(snr, self.bandwidth_hz * part, part), 0.0)


_SAME = 1e-12  # more than the rounding of a ratio of two sizes


class RoundTime:
    """Tau as a function of the density that all updates of a round have, with the best shares.

    It never falls with the density. Where the updates of all devices grow alike, the best shares
    are the same at every density and tau is in proportion to the bits.

    Args:
        links: which carry the updates.
        bits: the updates' sizes.
        noise: the convention.
    """

    def __init__(self, links: SharedLinks, bits: UpdateBits, noise: Noise) -> None:
        self._links, self._bits, self._noise = links, bits, noise
        least, most = self._link_bits(np.array([0.0, 1.0]))
        ratio = least[most > 0.0] / most[most > 0.0]
        self._grow_alike = not len(ratio) or float(np.ptp(ratio)) <= _SAME
        self._at_one = links.best_shares(most[np.newaxis], noise)

    def shares(self, density: Floats) -> Floats:
        """Return the best shares, [K, L], at densities [K]."""
        if self._grow_alike:
            return np.repeat(self._at_one, len(density), axis=0)
        return self._links.best_shares(self._link_bits(density), self._noise)

    def s(self, density: Floats) -> Floats:
        """Return tau in seconds, [K], at densities [K]."""
        bits = self._link_bits(density)
        return self._links.round_s(bits, self.shares(density), self._noise)

    def greatest_density(self, limit_s: float, least: float, most: float) -> float:
        """Return the greatest density with which tau is within a limit.

        Args:
            limit_s: the limit.
            least: the least density, which is returned where not even it meets the limit.
            most: the greatest density.
        """

        def above_s(density: float) -> float:
            return float(self.s(np.array([density]))[0]) - limit_s

        if above_s(most) <= 0.0:
            return most
        if above_s(least) >= 0.0:
            return least
        from scipy.optimize import brentq  # noqa: PLC0415  scipy is slow to import

        return float(brentq(above_s, least, most, xtol=1e-12))

    def _link_bits(self, density: Floats) -> Floats:
        return self._bits.at(density[:, np.newaxis])[:, self._links.src]
