"""Inference `spectral`: tokens go to the adapters that change them most.

Fleshman and Van Durme, SpectR, COLM 2025 (arXiv 2504.03454), with P2's z-score: a token scores
||B_j A_j x||, by all singular values of the product where `arrow` uses the vector of the largest.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.inference._gates import softmax_top
from cosim.learning.inference._spectra import reactions
from cosim.learning.inference.base import Routed
from cosim.learning.mixture import Router

if TYPE_CHECKING:
    from torch import Tensor


class Spectral(Routed):
    """Weights for every token and site: the softmax of z_j / temperature of the `top_k`.

    z_j is the score less the adapters' mean, over their standard deviation. With two adapters it is
    1 and -1 whatever the scores.
    """

    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_k: Annotated[int, Field(ge=1)] | None = None

    def router(self, adapters: tuple[Adapter, ...]) -> Router:
        """Return the router."""
        return SpectralRouter(adapters, self.temperature, self.top_k)


@dataclass(frozen=True)
class SpectralRouter(Router):
    """By the size of each adapter's change of the token."""

    adapters: tuple[Adapter, ...] = field(repr=False)
    temperature: float
    top_k: int | None

    def known(self, site: int) -> tuple[Vector, ...]:
        return (reactions(self.adapters, site),)

    def scores(self, known: tuple["Tensor", ...], x: "Tensor", is_prompt: "Tensor") -> "Tensor":
        (reaction,) = known  # [J, r, d_in]
        parts = x @ reaction.flatten(0, 1).mT  # [rows, T, J r]
        size: Tensor = parts.view(*parts.shape[:-1], *reaction.shape[:2]).float().norm(dim=-1)
        return size

    def weights(self, scores: "Tensor") -> "Tensor":
        centred = scores - scores.mean(dim=-1, keepdim=True)
        deviation = centred.square().mean(dim=-1, keepdim=True).sqrt()
        # Adapters that react alike have no z-score; they get equal weights.
        z = centred / deviation.clamp(min=1e-12)
        return softmax_top(z, self.temperature, self.top_k)
