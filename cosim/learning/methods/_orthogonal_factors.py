"""SOFT's penalty: the rank components of A, and those of B, shall be orthogonal to each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosim.learning.penalties import Penalty

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OrthogonalFactors(Penalty):
    """weight (||A^T A - diag||_F^2 + ||B B^T - diag||_F^2), P3's A and B being the transposes.

    It is the sum of squares of the off-diagonal entries of both Gram matrices [r, r].
    """

    weight: float

    def of_site(self, a: "Tensor", b: "Tensor", scale: "Tensor") -> "Tensor":
        """Return the penalty of one site for each of m devices, [m]; whatever the scale."""
        return self.weight * (_off_diagonal(a @ a.mT) + _off_diagonal(b.mT @ b))


def _off_diagonal(gram: "Tensor") -> "Tensor":
    """Return the sum of squares off the diagonal of each matrix, [m, r, r] -> [m]."""
    diagonal = gram.diagonal(dim1=1, dim2=2)
    return (gram - diagonal.diag_embed()).square().sum((1, 2))
