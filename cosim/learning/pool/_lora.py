"""Linear layers with the adapters of many devices: y = W0 x + b + s_m B_m A_m x for device m.

The rows of all devices pass through the frozen layer at once; the low-rank products are batched
over the devices. The backward is written out: gradients of the adapters go straight into the
buffers of a `Stack`, and those that nobody trains are not computed. With g = dL/dy, row by row:

    dL/dx = W0^T g + A^T (s B^T g),   dL/dB = s g (A x)^T,   dL/dA = (s B^T g) x^T
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from cosim.learning.adapter import Layout

# Of a block's first forward, and of the one in its backward.
Contexts = tuple[AbstractContextManager[None], AbstractContextManager[None]]


@dataclass(frozen=True)
class Stack:
    """Adapters of m devices at every site, and where their gradients are added (None: nowhere).

    Attributes:
        a: for every site [m, r, d_in].
        b: for every site [m, d_out, r].
        scale: [m, 1, 1].
        grad_a: for every site [m, r, d_in], float32.
        grad_b: for every site [m, d_out, r], float32.
        anchor: makes autograd visit the layers although no leaf of its own needs a gradient.
        rows: how many rows each of some of the devices has, in the rows' order: (device, rows).
            None if there are rows of all devices, in their order, of each equally many.
    """

    a: Sequence[Tensor]
    b: Sequence[Tensor]
    scale: Tensor
    grad_a: Sequence[Tensor] | None
    grad_b: Sequence[Tensor] | None
    anchor: Tensor
    rows: Sequence[tuple[int, int]] | None = None

    @property
    def kernel(self) -> "Kernel":
        """How layers run with these adapters."""
        return _EQUAL if self.rows is None else _RAGGED

    @cached_property
    def scale_of_rows(self) -> Tensor:
        """The scale of each row's device, [rows, 1, 1]."""
        assert self.rows is not None
        owners = [device for device, count in self.rows for _ in range(count)]
        devices = torch.tensor(owners, device=self.scale.device)
        return self.scale.view(-1).index_select(0, devices)[:, None, None]

    def of_rows(self, factors: Tensor) -> list[Tensor]:
        """Return the factors [m, ...] of those devices that have rows, in the rows' order."""
        assert self.rows is not None
        each = factors.unbind()
        return [each[device] for device, _ in self.rows]


def views(layout: Layout, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return every site's A [m, r, d_in] and B [m, d_out, r] as views of `flat` [m, >= size]."""
    m, r = flat.shape[0], layout.rank
    a = [
        flat[:, where].view(m, r, site.d_in)
        for site, where in zip(layout.sites, layout.slices_a, strict=True)
    ]
    b = [
        flat[:, where].view(m, site.d_out, r)
        for site, where in zip(layout.sites, layout.slices_b, strict=True)
    ]
    return a, b


class Kernel(NamedTuple):
    """How a layer runs with the adapters of a stack.

    Attributes:
        forward: of (stack, site, x [rows, ..., d_in], W0, bias); returns y and h = s A x.
        backward: of (stack, site, g, whether dL/dx is needed, W0, x, h); returns dL/dx or None, and
            adds the gradients of A and B to the stack's buffers. Only that of A needs x, that of B
            h.
    """

    forward: Callable[["Stack", int, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
    backward: Callable[
        ["Stack", int, Tensor, bool, Tensor, Tensor | None, Tensor | None], Tensor | None
    ]


def _equal_forward(
    stack: Stack, site: int, x: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Rows of m devices, device by device, each with equally many."""
    a, b = stack.a[site], stack.b[site]
    m, r, d_in = a.shape
    h = torch.bmm(x.reshape(m, -1, d_in), a.mT).mul_(stack.scale)  # [m, n / m, r]
    y = functional.linear(x, weight, bias)
    y.view(m, -1, b.shape[1]).baddbmm_(h, b.mT)
    return y, h.view(-1, r)


def _equal_backward(
    stack: Stack,
    site: int,
    g: Tensor,
    need_x: bool,
    weight: Tensor,
    x: Tensor | None,
    h: Tensor | None,
) -> Tensor | None:
    a, b = stack.a[site], stack.b[site]
    m, r, d_in = a.shape
    g_m = g.reshape(m, -1, b.shape[1])  # [m, n / m, d_out]
    if stack.grad_b is not None and h is not None:
        stack.grad_b[site].add_(torch.bmm(h.view(m, -1, r).mT, g_m).mT)
    if not need_x and stack.grad_a is None:
        return None
    g_h = torch.bmm(g_m, b).mul_(stack.scale)  # s B^T g, [m, n / m, r]
    if stack.grad_a is not None and x is not None:
        stack.grad_a[site].add_(torch.bmm(g_h.mT, x.reshape(m, -1, d_in)))
    if not need_x:
        return None
    g_x = g @ weight
    g_x.view(m, -1, d_in).baddbmm_(g_h, a)
    return g_x


def _ragged_forward(
    stack: Stack, site: int, x: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Rows of some devices, device by device, as many as each has."""
    a, b = stack.of_rows(stack.a[site].mT), stack.of_rows(stack.b[site].mT)
    x_n = x.reshape(-1, x.shape[-1])  # [n, d_in]
    counts = _counts(stack, len(x_n))
    h = x_n.new_empty(len(x_n), a[0].shape[1])  # [n, r]
    h_m = torch.split(h, counts)
    for x_i, a_i, h_i in zip(torch.split(x_n, counts), a, h_m, strict=True):
        torch.mm(x_i, a_i, out=h_i)
    h.view(len(x), -1, h.shape[1]).mul_(stack.scale_of_rows)
    y = functional.linear(x, weight, bias)
    for y_i, h_i, b_i in zip(torch.split(y.view(-1, y.shape[-1]), counts), h_m, b, strict=True):
        y_i.addmm_(h_i, b_i)
    return y, h


def _ragged_backward(
    stack: Stack,
    site: int,
    g: Tensor,
    need_x: bool,
    weight: Tensor,
    x: Tensor | None,
    h: Tensor | None,
) -> Tensor | None:
    g_n = g.reshape(-1, g.shape[-1])  # [n, d_out]
    counts = _counts(stack, len(g_n))
    g_m = torch.split(g_n, counts)
    if stack.grad_b is not None and h is not None:
        grads_b = stack.of_rows(stack.grad_b[site])
        for grad, g_i, h_i in zip(grads_b, g_m, torch.split(h, counts), strict=True):
            grad.add_(g_i.mT @ h_i)
    if not need_x and stack.grad_a is None:
        return None
    b = stack.of_rows(stack.b[site])
    g_h = g_n.new_empty(len(g_n), b[0].shape[1])  # s B^T g, [n, r]
    g_h_m = torch.split(g_h, counts)
    for g_i, b_i, out in zip(g_m, b, g_h_m, strict=True):
        torch.mm(g_i, b_i, out=out)
    g_h.view(len(stack.scale_of_rows), -1, g_h.shape[1]).mul_(stack.scale_of_rows)
    if stack.grad_a is not None and x is not None:
        grads_a = stack.of_rows(stack.grad_a[site])
        x_m = torch.split(x.reshape(-1, x.shape[-1]), counts)
        for grad, g_i, x_i in zip(grads_a, g_h_m, x_m, strict=True):
            grad.add_(g_i.mT @ x_i)
    if not need_x:
        return None
    g_x = g @ weight
    a = stack.of_rows(stack.a[site])
    for x_i, g_i, a_i in zip(
        torch.split(g_x.view(-1, g_x.shape[-1]), counts), g_h_m, a, strict=True
    ):
        x_i.addmm_(g_i, a_i)
    return g_x


def _counts(stack: Stack, n: int) -> list[int]:
    """Return how many of n tokens each of those devices has that have rows, in their order."""
    per_row = n // len(stack.scale_of_rows)
    return [rows * per_row for _, rows in stack.rows or ()]


_EQUAL = Kernel(_equal_forward, _equal_backward)
_RAGGED = Kernel(_ragged_forward, _ragged_backward)


class _Layer(torch.autograd.Function):
    """One layer with the adapters of a stack."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, anchor: Tensor, linear: nn.Linear, stack: Stack, site: int
    ) -> Tensor:
        """Return y [rows, ..., d_out] of x [rows, ..., d_in]."""
        y, h = stack.kernel.forward(stack, site, x, linear.weight, linear.bias)
        ctx.save_for_backward(
            x if stack.grad_a is not None else None, h if stack.grad_b is not None else None
        )
        ctx.weight, ctx.stack, ctx.site = linear.weight, stack, site
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of x; add those of A and B to the stack's buffers."""
        need_x, (g,) = ctx.needs_input_grad[0], grads
        backward = ctx.stack.kernel.backward
        g_x = backward(ctx.stack, ctx.site, g, need_x, ctx.weight, *ctx.saved_tensors)
        return g_x, None, None, None, None


@contextmanager
def stacked(
    linears: Sequence[nn.Linear], stack: Stack, recomputed: Sequence[nn.Module] = ()
) -> Iterator[None]:
    """Let the layers run with the adapters of `stack`: rows are grouped device by device.

    Args:
        linears: the layers of all sites.
        stack: the adapters.
        recomputed: parts of the model that keep their inputs alone and run forward again when
            their backward comes (Chen et al., arXiv:1604.06174). Only the backward adds to the
            stack's buffers, and it runs once, so no gradient counts twice.
    """

    def forward(linear: nn.Linear, site: int, x: Tensor) -> Tensor:
        y: Tensor = _Layer.apply(x, stack.anchor, linear, stack, site)  # type: ignore[no-untyped-call]
        return y

    def contexts() -> Contexts:
        # The backward comes when this context has long ended.
        return nullcontext(), stacked(linears, stack)

    with (
        recomputing(recomputed, contexts),
        forwards(linears, [partial(forward, linear, i) for i, linear in enumerate(linears)]),
    ):
        yield


@contextmanager
def recomputing(blocks: Sequence[nn.Module], contexts: Callable[[], Contexts]) -> Iterator[None]:
    """Let blocks keep their inputs alone and run forward again in the backward."""
    again = [
        partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing is drawn: dropout is off
            context_fn=contexts,
        )
        for block in blocks
    ]
    with forwards(blocks, again):
        yield


@contextmanager
def merged(linears: Sequence[nn.Linear], stack: Stack) -> Iterator[None]:
    """Let the layers run with W0 + s B A of the one adapter of `stack` in place of W0.

    The base weights themselves are not touched.
    """

    def forward(bias: Tensor | None, weight: Tensor, x: Tensor) -> Tensor:
        return functional.linear(x, weight, bias)

    weights = [
        torch.addmm(linear.weight, b[0] * stack.scale[0], a[0])
        for linear, a, b in zip(linears, stack.a, stack.b, strict=True)
    ]
    with forwards(
        linears,
        [partial(forward, linear.bias, w) for linear, w in zip(linears, weights, strict=True)],
    ):
        yield


@contextmanager
def forwards(modules: Sequence[nn.Module], forwards: Sequence[Any]) -> Iterator[None]:
    """Let modules run with other forwards, and give them back what they had."""
    before = [vars(module).get("forward") for module in modules]
    for module, forward in zip(modules, forwards, strict=True):
        module.forward = forward
    try:
        yield
    finally:
        for module, forward in zip(modules, before, strict=True):
            if forward is None:
                del module.forward
            else:
                module.forward = forward
