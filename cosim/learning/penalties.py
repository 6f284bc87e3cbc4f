"""Penalties: what a method adds to the loss of local training, site by site.

A penalty is a function of the factors alone. Its methods work on PyTorch tensors, but nothing here
loads PyTorch, so that a scenario can be read without it.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(ABC):
    """Added to every step's loss, in its gradient; the losses that are reported are without it.

    Penalties that are the same function compare equal and have one hash, as frozen dataclasses do,
    so that a pool can work on the devices of one penalty together.
    """

    @abstractmethod
    def of_site(self, a: "Tensor", b: "Tensor", scale: "Tensor") -> "Tensor":
        """Return the penalty of one site for each of m devices, [m], to be differentiated.

        Args:
            a: [m, r, d_in].
            b: [m, d_out, r].
            scale: of the product B A, [m].
        """
