"""Mixtures: several adapters of which every input has its own weights.

    y = W0 x + sum_j alpha_j(x) s_j B_j A_j x

A router finds alpha from what a layer is given. It works on PyTorch tensors, but nothing here loads
PyTorch, so that a scenario can be read without it. A mixture whose weights do not depend on the
input is an adapter (`cosim.learning.adapter.concatenate`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cosim.learning.adapter import Adapter, Vector

if TYPE_CHECKING:
    from torch import Tensor


class Router(ABC):
    """Finds the weights of a mixture's J adapters: at every site, scores and then weights of them.

    Attributes:
        per_sequence: False: every site has weights of its own, found from its own input. True: the
            model first reads a sequence without adapters, the scores of all sites are averaged,
            and the weights of that average hold at every site.
    """

    per_sequence: bool = False

    @abstractmethod
    def known(self, site: int) -> tuple[Vector, ...]:
        """Return the arrays that `scores` needs at one site; a pool holds them as tensors."""

    @abstractmethod
    def scores(self, known: tuple["Tensor", ...], x: "Tensor", is_prompt: "Tensor") -> "Tensor":
        """Return how well each adapter fits, [rows, T, J], or [rows, 1, J] if alike for all tokens.

        Args:
            known: what `known` returned of the site, on the device of `x` and with its dtype.
            x: the site's input, [rows, T, d_in].
            is_prompt: whether a token is one of the question, bool [rows, T]. Padding is not, and
                the tokens of a choice are not, so that the choices of a question are answered
                with the same adapters. What is pooled over a sequence is pooled over these.
        """

    @abstractmethod
    def weights(self, scores: "Tensor") -> "Tensor":
        """Return alpha of scores [..., J], of the same shape; at least 0, and of sum 1."""


@dataclass(frozen=True)
class Mixture:
    """J adapters over the same sites and head, and what finds their weights."""

    adapters: tuple[Adapter, ...] = field(repr=False)
    router: Router

    @property
    def head(self) -> Vector:
        """The head, which is not routed: its movement is the mean of the adapters' movements."""
        moved = [each.vector[each.layout.part_head] for each in self.adapters]
        mean: Vector = np.stack(moved).mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean
