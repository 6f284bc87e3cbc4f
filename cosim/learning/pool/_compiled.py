"""Compiled blocks of a model whose linear layers have the adapters of many devices.

To the compiler an adapted layer is one operation that it does not look into. Its inputs are x, the
layer's weights, which site it is, and the number of a stack: so one compiled block serves all
stacks, and all blocks of a kind. The adapters, and the buffers that their gradients are added to,
are looked up by that number. What is between those layers (norms, activations, rotations,
residuals) is compiled, for any numbers of rows and tokens.
"""

import itertools
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch._dynamo import config
from torch._dynamo.exc import TorchDynamoException

from cosim.learning.errors import LearningError
from cosim.learning.pool._lora import Contexts, Stack, forwards, recomputing

# A block is compiled apart for one row, one token, rank 1, a frozen A, inputs that need no gradient
# or have no mask; one of more variants than this would run as it is (PyTorch's own limit is 8).
_MOST_VARIANTS = 64

_stacks: MutableMapping[int, Stack] = WeakValueDictionary()
_numbers = itertools.count(1)


@torch.library.custom_op("cosim::adapted", mutates_args=())
def _adapted(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    site: Tensor,
    key: Tensor,
    keeps_x: bool,  # noqa: ARG001 - read by `_keep`
) -> tuple[Tensor, Tensor]:
    """Return y [rows, ..., d_out] and h [n, r]; the backward keeps x only if A is trained."""
    stack = _stacks[int(key[0])]
    return stack.kernel.forward(stack, int(site), x, weight, bias)


@_adapted.register_fake
def _(*inputs: Any) -> tuple[Tensor, Tensor]:
    x, weight, _, _, key, _ = inputs
    tokens = x.numel() // x.shape[-1]
    return x.new_empty((*x.shape[:-1], weight.shape[0])), x.new_empty((tokens, key.shape[0]))


@torch.library.custom_op("cosim::adapted_backward", mutates_args=())
def _adapted_backward(
    g: Tensor, need_x: bool, weight: Tensor, x: Tensor | None, h: Tensor, site: Tensor, key: Tensor
) -> tuple[Tensor, Tensor]:
    """Return dL/dx (empty if it is not needed), and a zero that keeps this from being left out."""
    stack = _stacks[int(key[0])]
    g_x = stack.kernel.backward(stack, int(site), g, need_x, weight, x, h)
    return g.new_empty(0) if g_x is None else g_x, torch.zeros_like(site)


@_adapted_backward.register_fake
def _(*inputs: Any) -> tuple[Tensor, Tensor]:
    g, need_x, weight, _, _, site, _ = inputs
    shape = (*g.shape[:-1], weight.shape[1]) if need_x else (0,)
    return g.new_empty(shape), torch.empty_like(site)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, weight, _, site, key, keeps_x = inputs
    ctx.save_for_backward(weight, x if keeps_x else None, output[1], site, key)
    ctx.set_materialize_grads(False)


def _go_back(ctx: Any, g: Tensor, _: None) -> tuple[Tensor | None, ...]:
    need_x = ctx.needs_input_grad[0]
    g_x, zero = _adapted_backward(g, need_x, *ctx.saved_tensors)
    return g_x if need_x else None, None, None, zero, None, None


_adapted.register_autograd(_go_back, setup_context=_keep)


class _Current:
    """Which stack the layers of a model run with."""

    key = torch.zeros(1, dtype=torch.int64)  # its number, as often as its rank
    keeps_x = True  # whether it trains A


class _AdaptedLinear(nn.Linear):
    """A linear layer while its model is trained; a class, as compiled code is for a class."""

    site: Tensor  # needs a gradient, so that autograd visits the layer
    current: _Current

    def forward(self, x: Tensor) -> Tensor:
        now = self.current
        y: Tensor = _adapted(x, self.weight, self.bias, self.site, now.key, now.keeps_x)[0]
        return y


class CompiledBlocks:
    """The blocks of a model, compiled when they are first trained."""

    def __init__(
        self, linears: Sequence[nn.Linear], blocks: Sequence[nn.Module], device: torch.device
    ) -> None:
        """Take the layers of all sites, and the blocks they are in.

        Raises:
            LearningError: nothing can be compiled here.
        """
        self._linears, self._blocks, self._current = linears, blocks, _Current()
        self._compiled = [torch.compile(block.forward, dynamic=True) for block in blocks]
        self._sites = [torch.tensor(float(i), requires_grad=True) for i in range(len(linears))]
        with _explained():
            torch.compile(torch.sin)(torch.zeros(2, device=device))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the blocks run compiled; every forward is then within `stacked`.

        Raises:
            LearningError: a block cannot be compiled.
        """
        classes = [type(linear) for linear in self._linears]
        for linear, site in zip(self._linears, self._sites, strict=True):
            linear.__class__ = _AdaptedLinear
            adapted = cast(_AdaptedLinear, linear)
            adapted.site, adapted.current = site, self._current
        try:
            with (
                _explained(),
                forwards(self._blocks, self._compiled),
                config.patch(recompile_limit=_MOST_VARIANTS),
            ):
                yield
        finally:
            for linear, before in zip(self._linears, classes, strict=True):
                linear.__class__ = before
                del linear.site, linear.current

    @contextmanager
    def stacked(self, stack: Stack, recomputed: Sequence[nn.Module] = ()) -> Iterator[None]:
        """Let the layers run with the adapters of `stack`, which must live until the backward."""
        number = next(_numbers)
        _stacks[number] = stack
        key = torch.full((stack.a[0].shape[1],), number)

        def contexts() -> Contexts:
            return nullcontext(), self._using(key, keeps_x)

        keeps_x = stack.grad_a is not None
        with recomputing(recomputed, contexts), self._using(key, keeps_x):
            yield

    @contextmanager
    def _using(self, key: Tensor, keeps_x: bool) -> Iterator[None]:
        now = self._current
        before = now.key, now.keeps_x
        now.key, now.keeps_x = key, keeps_x
        try:
            yield
        finally:
            now.key, now.keeps_x = before


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except TorchDynamoException as error:
        why = str(error).strip().partition("\n")[0]
        raise LearningError(
            f"learning.pool.compile: expected a compiler that PyTorch can use, got {why}; install "
            "g++ (or name another by the environment variable CXX), on a GPU Triton too, or set it "
            "to false"
        ) from error
