"""The frozen base model of a pool: where it runs, and its logits at chosen positions only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from cosim.learning.adapter import Site
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import ModelPool
from cosim.learning.models.base import BaseModel
from cosim.learning.pool._tokens import Tokens
from cosim.learning.tasks.base import Example

Device = Literal["cpu", "cuda"]
Dtype = Literal["float32", "bfloat16"]


class FrozenModel:
    """A base model on its device, with the tokenizer and the layers that get adapters."""

    def __init__(self, base: BaseModel, device: Device, dtype: Dtype, threads: int) -> None:
        """Move the model to its device.

        Raises:
            LearningError: there is no such device, or the model has no output head.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise LearningError("pool: expected a GPU for device: cuda, found none; use cpu")
        self.device = torch.device(device)
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.network: nn.Module = nn.Module.to(base.network, device=self.device, dtype=self.dtype)
        head = base.network.get_output_embeddings()  # type: ignore[no-untyped-call]
        if head is None:
            raise LearningError(f"{type(base.network).__name__} has no output head")
        self.head = head
        self.linears = tuple(_linear(base.network, name) for name in base.targets)
        self.sites = tuple(
            Site(name, linear.in_features, linear.out_features)
            for name, linear in zip(base.targets, self.linears, strict=True)
        )
        longest = getattr(base.network.config, "max_position_embeddings", None)
        self.tokens = Tokens(base.tokenizer, longest)
        self.num_parameters = _num_multiplied(base.network, head)
        self._threads = threads

    @contextmanager
    def running(self) -> Iterator[None]:
        """Set the number of threads, and on CUDA deterministic kernels; restore both after."""
        threads = torch.get_num_threads()
        deterministic = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.set_num_threads(self._threads)
        if self.device.type == "cuda":
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)

    def logits(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Return the logits after chosen tokens; the output head sees no others.

        Rows are padded on the right, where causal attention never looks, so no attention mask is
        needed.

        Args:
            ids: token ids, [rows, T].
            positions: places in the flattened ids, [k].

        Returns:
            float32 [k, vocabulary].
        """

        def select(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            return (args[0].flatten(0, -2).index_select(0, positions),)

        handle = self.head.register_forward_pre_hook(select)
        try:
            logits: Tensor = self.network(input_ids=ids, use_cache=False).logits
        finally:
            handle.remove()
        return logits.float()


def _linear(network: nn.Module, name: str) -> nn.Linear:
    module = network.get_submodule(name)
    if not isinstance(module, nn.Linear):
        raise LearningError(f"expected a linear layer, got {name}, a {type(module).__name__}")
    return module


def _num_multiplied(network: nn.Module, head: nn.Module) -> int:
    """Count the entries of all weight matrices but embedding tables; the head counts once."""
    tables = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    heads = {id(parameter): parameter for parameter in head.parameters() if parameter.dim() >= 2}
    others = [
        parameter
        for parameter in network.parameters()
        if parameter.dim() >= 2 and id(parameter) not in tables and id(parameter) not in heads
    ]
    return sum(parameter.numel() for parameter in (*others, *heads.values()))


class FrozenModelPool(ModelPool):
    """What running pools over one frozen model share."""

    def __init__(self, model: FrozenModel) -> None:
        self._model = model

    @property
    def sites(self) -> tuple[Site, ...]:
        return self._model.sites

    @property
    def head(self) -> Site | None:
        return None

    @property
    def num_parameters(self) -> int:
        return self._model.num_parameters

    def num_tokens(self, batches: Sequence[Sequence[Example]]) -> int:
        return self._model.tokens.count(batches)
