"""The root-mean-square norms of a frozen model in one pass each way.

y = w x / sqrt(mean(x^2) + eps) (Zhang and Sennrich, NeurIPS 2019). Written as PyTorch operations,
as models have it, its backward goes through memory about a dozen times and keeps three tensors of
the size of x. Here the backward is written out, for weights that nobody trains, and keeps x alone:
with h = g w and i = 1 / sqrt(mean(x^2) + eps),

    dL/dx = i (h - x i^2 mean(h x))
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

# A norm is taken for one of these if it gives the same values on a trial, but for rounding.
_SAME = 1e-5


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Return y of x, both [..., d], in x's dtype; inside it is float32."""
        wide = x.float()
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        y: Tensor = (wide * inverse).to(x.dtype).mul_(weight)
        ctx.save_for_backward(x, inverse)
        ctx.weight = weight
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of x."""
        (g,) = grads
        x, inverse = ctx.saved_tensors
        h, wide = (g * ctx.weight).float(), x.float()
        mean = (h * wide).sum(-1, keepdim=True).mul_(inverse.square() / x.shape[-1])
        return h.addcmul_(wide, mean, value=-1.0).mul_(inverse).to(x.dtype), None, None


def norms_of(network: nn.Module) -> tuple[list[nn.Module], list[Any]]:
    """Return the norms of this kind in a model, and a faster forward of each."""
    found = [module for module in network.modules() if _is_norm(module)]
    return found, [partial(_forward, module) for module in found]


def _forward(module: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = _Norm.apply(x, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
    return y


def _is_norm(module: nn.Module) -> bool:
    """Return whether a module is such a norm: by what it has, and by a trial."""
    weight, eps = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
    if not isinstance(weight, Tensor) or weight.dim() != 1 or not isinstance(eps, float):
        return False
    if list(module.children()) or weight.requires_grad:
        return False
    trial = torch.linspace(-1.0, 2.0, 2 * len(weight)).view(2, -1).to(weight)
    with torch.no_grad():
        found, expected = _forward(module, trial), module(trial)
    if not isinstance(expected, Tensor) or expected.shape != found.shape:
        return False
    return bool(((found - expected).abs() <= _SAME * (1.0 + expected.abs())).all())
