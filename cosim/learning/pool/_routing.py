"""Linear layers with a mixture of adapters: y = W0 x + b + sum_j alpha_j(x) s_j B_j A_j x.

The factors of all J adapters are concatenated at every site, A_cat [R, d_in] and B_cat [d_out, R]
with R the sum of their ranks, so that a site takes two products whatever J is: x A_cat^T, scaled by
each adapter's weight, times B_cat^T. Weights come from the mixture's router: for each token, or one
for each row, found at each site or once for all of them (`Router.per_sequence`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cosim.learning.adapter import Vector
from cosim.learning.errors import LearningError
from cosim.learning.mixture import Mixture
from cosim.learning.pool._lora import forwards

T = TypeVar("T")


@dataclass(frozen=True)
class _Site:
    """One site's adapters and what the router knows of it, on the layer's device.

    Attributes:
        a: [R, d_in].
        b: [d_out, R], scales included.
        known: of the router.
    """

    a: Tensor
    b: Tensor
    known: tuple[Tensor, ...]


class Routing:
    """A mixture in place on a network's layers; made by `routed`."""

    def __init__(self, linears: Sequence[nn.Linear], mixture: Mixture) -> None:
        self._linears = linears
        self._router = mixture.router
        self._sites = [_site(mixture, i, linear) for i, linear in enumerate(linears)]
        ranks = [each.layout.rank for each in mixture.adapters]
        # The adapter that each of the R ranks belongs to.
        self._owner = torch.arange(len(ranks), device=linears[0].weight.device).repeat_interleave(
            torch.tensor(ranks, device=linears[0].weight.device)
        )
        self._is_prompt = torch.zeros(0)
        self._alpha: Tensor | None = None  # for all sites, if found once for each row

    def run(self, read: Callable[[], T], is_prompt: Tensor) -> T:
        """Let the network read a batch with the mixture; return what `read` returns.

        Args:
            read: runs the network on the batch, [rows, T]. It is called twice if the router asks
                for it: the first time, without adapters, to find the weights.
            is_prompt: whether a token is one of the question, and no padding, bool [rows, T].
        """
        self._is_prompt, self._alpha = is_prompt, None
        if self._router.per_sequence:
            self._alpha = self._router.weights(self._mean_scores(read))
        with forwards(
            self._linears,
            [partial(self._forward, linear, i) for i, linear in enumerate(self._linears)],
        ):
            return read()

    def _mean_scores(self, read: Callable[[], object]) -> Tensor:
        """Return the mean of all sites' scores, [rows, 1, J], of the network without adapters."""
        total: list[Tensor] = []

        def look(site: int, x: Tensor) -> None:
            total.append(self._scores(site, x))

        with watched(self._linears, look):
            read()
        return torch.stack(total).mean(dim=0)

    def _scores(self, site: int, x: Tensor) -> Tensor:
        if x.shape[:-1] != self._is_prompt.shape:
            raise LearningError(
                f"expected inputs [rows, tokens, features] of {tuple(self._is_prompt.shape)} "
                f"tokens at every adapted layer, got {tuple(x.shape)}; routing is for models whose "
                f"layers see all tokens"
            )
        return self._router.scores(self._sites[site].known, x, self._is_prompt)

    def _forward(self, linear: nn.Linear, site: int, x: Tensor) -> Tensor:
        alpha = self._alpha
        if alpha is None:
            alpha = self._router.weights(self._scores(site, x))
        here = self._sites[site]
        h = functional.linear(x, here.a)
        h *= alpha.to(h.dtype).index_select(-1, self._owner)  # [rows, T or 1, R]
        y = functional.linear(x, linear.weight, linear.bias)
        y.view(-1, y.shape[-1]).addmm_(h.view(-1, h.shape[-1]), here.b.mT)
        return y


@contextmanager
def routed(linears: Sequence[nn.Linear], mixture: Mixture) -> Iterator[Routing]:
    """Let the layers run with a mixture, batch by batch, by `Routing.run`; nothing is trained.

    The base weights are not touched, and the layers are as before after every batch.
    """
    with torch.no_grad():
        yield Routing(linears, mixture)


@contextmanager
def watched(linears: Sequence[nn.Linear], look: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Let the layers run without adapters, and `look` at each one's input, [rows, ..., d_in]."""

    def forward(linear: nn.Linear, site: int, x: Tensor) -> Tensor:
        look(site, x)
        return functional.linear(x, linear.weight, linear.bias)

    with forwards(linears, [partial(forward, linear, i) for i, linear in enumerate(linears)]):
        yield


def mean_inputs(
    linears: Sequence[nn.Linear], batches: Iterable[tuple[Callable[[], object], Tensor]]
) -> list[Vector]:
    """Return the mean input of every layer without adapters, over all batches, [d_in] each.

    Args:
        linears: the layers.
        batches: for each what runs the network on it, and which of its tokens count, bool
            [rows, T]; at least one token does.
    """
    sums = [np.zeros(linear.in_features) for linear in linears]
    count = 0
    with torch.no_grad():
        for read, is_prompt in batches:

            def look(site: int, x: Tensor, chosen: Tensor = is_prompt) -> None:
                sums[site] += x[chosen].sum(dim=0, dtype=torch.float64).cpu().numpy()

            count += int(is_prompt.sum())
            with watched(linears, look):
                read()
    return [(total / count).astype(np.float32) for total in sums]


def _site(mixture: Mixture, site: int, linear: nn.Linear) -> _Site:
    adapters = mixture.adapters
    a = np.concatenate([each.layout.a(each.vector, site) for each in adapters])
    b = np.concatenate([each.scale * each.layout.b(each.vector, site) for each in adapters], axis=1)

    def placed(array: NDArray[np.floating]) -> Tensor:
        weight = linear.weight
        return torch.from_numpy(np.ascontiguousarray(array)).to(weight.device, weight.dtype)

    return _Site(placed(a), placed(b), tuple(map(placed, mixture.router.known(site))))
