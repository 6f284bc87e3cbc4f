"""Inference `argmax`: hard routing of each sequence to the adapter that reacts to it most."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.inference._gates import one_hot_top, pooled
from cosim.learning.inference._spectra import reactions
from cosim.learning.inference.base import Routed
from cosim.learning.mixture import Router

if TYPE_CHECKING:
    from torch import Tensor


class Argmax(Routed):
    """One adapter for a whole sequence: the one of the largest score.

    The model first reads the sequence without adapters. At each site and prompt token an adapter
    scores ||B_j A_j x|| / (||B_j A_j||_F ||x||), from 0 to 1: how much of what it can do the token
    makes it do, whatever its size. The score of a sequence is the mean over its prompt's tokens and
    all sites. It sees B: with A random and frozen ||A_j x|| alone would be chance.
    """

    def router(self, adapters: tuple[Adapter, ...]) -> Router:
        """Return the router."""
        return ArgmaxRouter(adapters)


@dataclass(frozen=True)
class ArgmaxRouter(Router):
    """Weight 1 for the adapter of the largest mean reaction, which is none of its size."""

    adapters: tuple[Adapter, ...] = field(repr=False)
    per_sequence = True

    def known(self, site: int) -> tuple[Vector, ...]:
        return (reactions(self.adapters, site, unit=True),)

    def scores(self, known: tuple["Tensor", ...], x: "Tensor", is_prompt: "Tensor") -> "Tensor":
        (reaction,) = known  # [J, r, d_in]
        unit = x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        parts = unit @ reaction.flatten(0, 1).mT  # [rows, T, J r]
        each = parts.view(*parts.shape[:-1], *reaction.shape[:2])
        return pooled(each.norm(dim=-1), is_prompt)

    def weights(self, scores: "Tensor") -> "Tensor":
        return one_hot_top(scores)
