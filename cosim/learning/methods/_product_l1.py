"""The L1 norm of the product B A: a penalty for few nonzero entries, and what they collide in.

Nothing here loads PyTorch, so that a scenario can be read without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cosim.learning.adapter import Adapter
from cosim.learning.penalties import Penalty

if TYPE_CHECKING:
    from torch import Tensor

_ENTRIES = 2**20  # of products that are formed at once: 4 MB


@dataclass(frozen=True)
class ProductL1(Penalty):
    """weight * sum |scale B A| over the entries of every site.

    The product is formed some rows at a time and forgotten. With S = sign(B A), the gradients are
    B^T S to A and S A^T to B, and the product is linear in each factor: so <A, B^T S> = <B, S A^T>
    = sum |B A|, and the value below has that sum as value and those gradients as gradients.
    """

    weight: float

    def of_site(self, a: "Tensor", b: "Tensor", scale: "Tensor") -> "Tensor":
        """Return the penalty of one site, [m]; a [m, r, d_in], b [m, d_out, r], scale [m]."""
        fixed_a, fixed_b = a.detach(), b.detach()
        to_a, to_b = fixed_a.new_zeros(a.shape), fixed_b.new_zeros(b.shape)
        rows = max(1, _ENTRIES // (a.shape[0] * a.shape[2]))
        for start in range(0, b.shape[1], rows):
            part = fixed_b[:, start : start + rows]
            sign = (part @ fixed_a).sign_()  # [m, rows, d_in]
            to_a += part.mT @ sign
            to_b[:, start : start + rows] = sign @ fixed_a.mT
        both = (a * to_a).sum((1, 2)) + (b * to_b).sum((1, 2))
        return self.weight * scale * (both - 0.5 * both.detach())


def product_collision(
    adapters: Sequence[Adapter], threshold: float, max_rows: int | None = None
) -> float:
    """Return the fraction of entries of scale B A that are large in more than one adapter.

    It is N-LoRA's parameter collision, for as many adapters as there are; an entry is large where
    its magnitude is above `threshold`, as gradient steps leave no exact zeros.

    Args:
        adapters: over the same sites; their ranks may differ.
        threshold: at least 0.
        max_rows: rows of each layer's product that are looked at, evenly spread; None for all. Each
            layer counts by its size all the same.
    """
    collided = total = 0.0
    for number, site in enumerate(adapters[0].layout.sites):
        looked = np.arange(site.d_out)
        if max_rows is not None and site.d_out > max_rows:
            looked = np.arange(max_rows) * site.d_out // max_rows
        at_once = max(1, _ENTRIES // site.d_in)
        hits = 0
        for start in range(0, len(looked), at_once):
            rows = looked[start : start + at_once]
            large = np.zeros((len(rows), site.d_in), dtype=np.int32)
            for each in adapters:
                a, b = each.layout.a(each.vector, number), each.layout.b(each.vector, number)
                large += np.abs(b[rows] @ a) > threshold / each.scale
            hits += int(np.count_nonzero(large > 1))
        collided += hits * site.d_out / len(looked)
        total += site.d_out * site.d_in
    return collided / total
