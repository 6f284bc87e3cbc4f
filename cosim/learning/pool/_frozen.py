"""The frozen base model of a pool: where it runs, what gets adapters, and where its head starts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from cosim.learning.adapter import Site, Vector
from cosim.learning.errors import LearningError
from cosim.learning.models.base import BaseModel
from cosim.learning.pool._lora import forwards
from cosim.learning.pool._norms import norms_of
from cosim.learning.pool._objective import Heads, Objective
from cosim.rng import Draws

Device = Literal["cpu", "cuda"]
Dtype = Literal["float32", "bfloat16"]

# Standard deviation of a head's first weights, as of all linear layers of BERT and ViT; its bias
# starts at zero.
_HEAD_STD = 0.02


class FrozenModel:
    """A base model on its device, with its objective and the layers that get adapters."""

    def __init__(
        self, base: BaseModel, device: Device, dtype: Dtype, threads: int, draws: Draws
    ) -> None:
        """Move the model to its device.

        Raises:
            LearningError: there is no such device.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise LearningError("pool: expected a GPU for device: cuda, found none; use cpu")
        self.device = torch.device(device)
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.network: nn.Module = nn.Module.to(base.network, device=self.device, dtype=self.dtype)
        self.objective: Objective[Any] = base.objective
        self.linears = tuple(_linear(base.network, name) for name in base.targets)
        self.sites = tuple(
            Site(name, linear.in_features, linear.out_features)
            for name, linear in zip(base.targets, self.linears, strict=True)
        )
        self.blocks = _blocks(base.network, base.targets)
        self._norms = norms_of(base.network)
        self.head = base.objective.head
        self.head_start = None if self.head is None else _start(self.head, draws)
        self.num_parameters = _num_multiplied(base.network, base.objective.output)
        self.threads = threads

    @contextmanager
    def running(self) -> Iterator[None]:
        """Set the number of threads, and on CUDA deterministic kernels; restore both after."""
        threads = torch.get_num_threads()
        deterministic = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.set_num_threads(self.threads)
        if self.device.type == "cuda":
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)

    def fast_norms(self) -> AbstractContextManager[None]:
        """Let the model's norms run in a form that is faster to go back through."""
        return forwards(*self._norms)

    def heads(self, moved: Tensor) -> Heads | None:
        """Return the heads of m devices: where they start, and how far each has moved.

        Args:
            moved: the head's part of their vectors, [m, size of the head].

        Returns:
            None where the model has no trained head.
        """
        if self.head is None or self.head_start is None:
            return None
        values = moved + torch.from_numpy(self.head_start).to(moved.device)
        size = self.head.d_in * self.head.d_out
        weight = values[:, :size].view(-1, self.head.d_out, self.head.d_in)
        return Heads(weight, values[:, size:])

    def placed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors on the model's device."""
        return {name: tensor.to(self.device) for name, tensor in inputs.items()}


def _linear(network: nn.Module, name: str) -> nn.Linear:
    module = network.get_submodule(name)
    if not isinstance(module, nn.Linear):
        raise LearningError(f"expected a linear layer, got {name}, a {type(module).__name__}")
    return module


def _blocks(network: nn.Module, names: Sequence[str]) -> tuple[nn.Module, ...]:
    """Return the blocks that the named layers are in: the members of the outermost lists."""
    found: dict[int, nn.ModuleList] = {}
    for name in names:
        parts = name.split(".")
        for end in range(1, len(parts)):
            module = network.get_submodule(".".join(parts[:end]))
            if isinstance(module, nn.ModuleList):
                found[id(module)] = module
                break
    return tuple(block for blocks in found.values() for block in blocks)


def _start(head: Site, draws: Draws) -> Vector:
    weight = draws.generator("head").normal(0.0, _HEAD_STD, head.d_out * head.d_in)
    return np.concatenate([weight, np.zeros(head.d_out)]).astype(np.float32)


def _num_multiplied(network: nn.Module, output: nn.Module | None) -> int:
    """Count the entries of all weight matrices but tables; the frozen output layer counts once.

    Tables are looked up or added, not multiplied: embeddings of tokens, and what vision
    transformers hold as a parameter of shape [1, n, d] (positions, the class token).
    """
    tables = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    last = {} if output is None else {id(p): p for p in output.parameters() if p.dim() >= 2}
    others = [
        parameter
        for parameter in network.parameters()
        if parameter.dim() >= 2
        and not (parameter.dim() == 3 and parameter.shape[0] == 1)
        and id(parameter) not in tables
        and id(parameter) not in last
    ]
    return sum(parameter.numel() for parameter in (*others, *last.values()))
