"""Inference `arrow`: tokens go to the adapters whose main input direction they have.

Ostapenko et al., Towards Modular LLMs by Building and Re-Using a Library of LoRAs, ICML 2024
(arXiv 2405.11157): v_j is the right singular vector of the largest singular value of B_j A_j, the
unit input that the adapter changes most; a token scores |v_j^T x|, as the sign of v_j is free.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.inference._gates import softmax_top
from cosim.learning.inference._spectra import singular
from cosim.learning.inference.base import Routed
from cosim.learning.mixture import Router

if TYPE_CHECKING:
    from torch import Tensor


class Arrow(Routed):
    """Weights for every token and site: the softmax of |v_j^T x| / temperature of the `top_k`.

    Without `top_k` all adapters take part. The paper's libraries are larger than the adapters that
    a device knows; it keeps four.
    """

    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_k: Annotated[int, Field(ge=1)] | None = 4

    def router(self, adapters: tuple[Adapter, ...]) -> Router:
        """Return the router."""
        return ArrowRouter(adapters, self.temperature, self.top_k)


@dataclass(frozen=True)
class ArrowRouter(Router):
    """By the angle to each adapter's top right singular vector, and the token's size."""

    adapters: tuple[Adapter, ...] = field(repr=False)
    temperature: float
    top_k: int | None

    def known(self, site: int) -> tuple[Vector, ...]:
        tops = [_top(each, site) for each in self.adapters]
        return (np.stack(tops).astype(np.float32),)

    def scores(self, known: tuple["Tensor", ...], x: "Tensor", is_prompt: "Tensor") -> "Tensor":
        (top,) = known  # [J, d_in]
        return (x @ top.mT).abs().float()

    def weights(self, scores: "Tensor") -> "Tensor":
        return softmax_top(scores, self.temperature, self.top_k)


def _top(adapter: Adapter, site: int) -> NDArray[np.float64]:
    """Return v_j [d_in], or zeros for an adapter that changes nothing."""
    sigma, vectors = singular(adapter, site)
    return vectors[0] if sigma[0] > 0 else np.zeros_like(vectors[0])
