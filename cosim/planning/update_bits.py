"""How large an update is on the air, as a function of its density.

    Q(d) = (fixed + n min(v, d v + d p(d))) overhead,    p(d) = min_k (k + 1 / (1 - (1 - d)^(2^k)))

n values could be sent, of v bits each; d n of them are. Where the receiver cannot tell which, each
takes p bits more for its position: the mean length of the best Rice code of the gaps of a random
mask, as payloads have it. It is never more than the bitmap of P1 (k = 0), and near log2(e / d)
where d is small. Nothing is dearer than to send all n. With positions known, nothing fixed and no
overhead this is P3's q n (1 - O).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Of the Rice codes; the largest is the best one of a mask of one value in a million.
_PARAMETERS = np.arange(21.0)
_HALVINGS = 60  # of an interval of at most 1: less than a rounding error is left


@dataclass(frozen=True)
class UpdateBits:
    """The sizes of all devices' updates, whatever density they will have.

    Attributes:
        num_values: n of each device: what densities are fractions of, [N].
        value_bits: v.
        fixed_bits: of what is sent whatever the density is, such as a head, [N].
        knows_positions: whether receivers can tell which values they get.
        overhead: bits on the air over bits that are meant, for headers and the like, [N].
    """

    num_values: Floats
    value_bits: float
    fixed_bits: Floats
    knows_positions: bool
    overhead: Floats

    def at(self, density: ArrayLike) -> Floats:
        """Return Q, [..., N]; it never falls with the density.

        Args:
            density: 0 to 1, broadcasts to [..., N].
        """
        d = np.asarray(density, float)
        each = d * self.value_bits
        if not self.knows_positions:
            each = np.minimum(each + _mask_bits(d), self.value_bits)
        return np.asarray((self.fixed_bits + self.num_values * each) * self.overhead)

    def greatest_density(self, most_bits: Floats, least: float, most: float) -> Floats:
        """Return the greatest density of each device at which its update fits, [N].

        Args:
            most_bits: that it may have, [N].
            least: the least density, which is returned where not even its update fits.
            most: the greatest density.
        """
        low = np.full(self.num_values.shape, least)
        high = np.full(self.num_values.shape, most)
        fits_all = self.at(high) <= most_bits
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            fits = self.at(middle) <= most_bits
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return np.where(fits_all, most, low)

    def of_rank(self, rank: int) -> "UpdateBits":
        """Return the sizes at a rank, if these are those at rank 1."""
        return replace(self, num_values=rank * self.num_values)

    def matched(self, density: Floats, bits: Floats) -> "UpdateBits":
        """Return sizes of the same shape that are `bits` at `density`, both [N]."""
        plain = replace(self, overhead=np.ones(self.num_values.shape)).at(density)
        none = np.zeros(plain.shape)
        return replace(self, overhead=np.divide(bits, plain, out=none, where=plain > 0.0))


def _mask_bits(density: Floats) -> Floats:
    """Return d p(d), the bits that positions take for each value that could be sent, [...]."""
    d = density[..., np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients = d / -np.expm1(np.exp2(_PARAMETERS) * np.log1p(-d))
    return np.where(density > 0.0, (d * _PARAMETERS + quotients).min(axis=-1), 0.0)
