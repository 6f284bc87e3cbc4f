"""What training takes of memory beside the base model, and how it is kept within a limit.

The adapters of a group of devices, their gradients and their optimisers' state are there all the
time; what a forward keeps for its backward is bounded by how many tokens run together. How much
that is for a token is measured: one row is run forward, and what autograd keeps of it is counted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cosim.learning.adapter import Layout
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import TrainingJob
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._lora import Stack, stacked, views
from cosim.learning.tasks.base import Example

# Gradients and results of the widest operation, beside what is kept: as many tensors of its size.
_PASSING = 2
# Copies of adapters and gradients where the devices of a block are not neighbours.
_GATHERED = 2
_MASK_BYTES, _FLOAT_BYTES = 1, 4
# What PyTorch says when there is no memory on a CPU (its allocator's message, on any system).
_CPU_MESSAGES = ("can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Limits:
    """How much runs at once.

    Attributes:
        max_tokens: most tokens, padding counted, in one forward and backward.
        memory_bytes: of everything but the base model; None for no limit.
        checkpointing: whether blocks keep their inputs alone and run again in the backward.
    """

    max_tokens: int
    memory_bytes: float | None = None
    checkpointing: bool = False


@dataclass(frozen=True)
class Plan:
    """How many devices train together, and how many tokens run together."""

    num_devices: int
    max_tokens: int


def plan(model: FrozenModel, jobs: Sequence[TrainingJob], limits: Limits) -> Plan:
    """Return how to stay within the limits.

    As many devices train together as leave half of the memory to what they read, or all.

    Raises:
        LearningError: not even one device with its longest row fits.
    """
    if limits.memory_bytes is None:
        return Plan(len(jobs), limits.max_tokens)
    memory = limits.memory_bytes
    state = device_bytes(model, jobs)
    units = [unit for job in jobs for batch in job.batches for unit in _units(model, batch)]
    longest = max(len(unit) * max(row.length for row in unit) for unit in units)
    token = token_bytes(model, [row for unit in units for row in unit], jobs, limits.checkpointing)
    if state + longest * token > memory:
        asked = [] if limits.checkpointing else ["set learning.pool.checkpointing: true"]
        raise LearningError(
            f"learning.pool.memory: expected at least {_size(state + longest * token)}, which is "
            f"{_size(state)} for one device's adapter, gradient and optimiser and "
            f"{_size(longest * token)} for the {longest} tokens of its longest example, got "
            f"{_size(memory)}; "
            + ", ".join(["raise it", *asked, "lower learning.method.rank or shorten the examples"])
        )
    together = min(int(memory / 2 // state), int((memory - longest * token) // state), len(jobs))
    together = max(together, 1)
    fitting = int((memory - together * state) // token)
    return Plan(together, min(limits.max_tokens, max(fitting, longest)))


def device_bytes(model: FrozenModel, jobs: Sequence[TrainingJob]) -> int:
    """Return what one device holds while it trains, in a group of the largest rank."""
    size = Layout(model.sites, max(job.adapter.layout.rank for job in jobs), model.head).size
    is_adamw = any(job.optimisation.optimizer == "adamw" for job in jobs)
    moments = 2 if is_adamw else int(any(job.optimisation.momentum for job in jobs))
    narrow = 0 if model.dtype == torch.float32 else model.dtype.itemsize
    buffers = 2 + moments + _GATHERED
    return size * (buffers * _FLOAT_BYTES + _MASK_BYTES + narrow)


def token_bytes(
    model: FrozenModel, rows: Sequence[Any], jobs: Sequence[TrainingJob], checkpointing: bool
) -> float:
    """Return what a forward keeps of a token, at most: of the longest row, or that with most nats.

    Args:
        model: the base model.
        rows: of one objective, all that will run.
        jobs: whose adapters will run.
        checkpointing: whether blocks run again in the backward.
    """
    probes = [max(rows, key=lambda row: row.length)]
    if not model.objective.coupled:
        probes.append(max(rows, key=lambda row: model.objective.num_targets([row]) / row.length))
    kept = [activation_bytes(model, row, jobs, checkpointing) / int(row.length) for row in probes]
    return max(kept)


def activation_bytes(
    model: FrozenModel, row: Any, jobs: Sequence[TrainingJob], checkpointing: bool
) -> int:
    """Return what a forward of one row keeps for its backward, and what passes by there."""
    layout = Layout(model.sites, max(job.adapter.layout.rank for job in jobs), model.head)
    flat = torch.zeros((1, layout.size + 1), dtype=model.dtype, device=model.device)
    a, b = views(layout, flat)
    scale = torch.ones((1, 1, 1), device=model.device)
    anchor = torch.zeros((), device=model.device, requires_grad=True)
    stack = Stack(a, b, scale, a, b, anchor)  # there is no backward, so no gradients
    inputs = model.placed(model.objective.collate([row], row.length))
    kept = _Kept({id(parameter) for parameter in model.network.parameters()})
    with (
        torch.enable_grad(),
        kept.counting(model.blocks),
        stacked(model.linears, stack),
        model.fast_norms(),
    ):
        model.objective.read(inputs)
    return kept.checkpointed() if checkpointing else kept.plain()


class _Kept:
    """Counts bytes that autograd keeps, and which of them within each block."""

    def __init__(self, parameters: set[int]) -> None:
        self._parameters = parameters
        self._seen: set[int] = set()
        self._alive: list[Tensor] = []  # so that no address is used twice
        self._total = self._largest = 0
        self._entered: list[int] = []
        self._inside: list[int] = []
        self._inputs = 0

    @contextmanager
    def counting(self, blocks: Sequence[nn.Module]) -> Iterator[None]:
        handles = []
        for block in blocks:
            handles.append(block.register_forward_pre_hook(self._enter))
            handles.append(block.register_forward_hook(self._leave))
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def plain(self) -> int:
        return self._total + _PASSING * self._largest

    def checkpointed(self) -> int:
        """One block's is there while it runs again, and the inputs of all."""
        outside = self._total - sum(self._inside)
        once = max(self._inside, default=0)
        return outside + self._inputs + once + _PASSING * self._largest

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(tensor) not in self._parameters and storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self._alive.append(tensor)
            self._total += storage.nbytes()
            self._largest = max(self._largest, storage.nbytes())
        return tensor

    def _enter(self, _: nn.Module, args: tuple[Any, ...]) -> None:
        self._entered.append(self._total)
        self._inputs += sum(each.nbytes for each in args if isinstance(each, Tensor))

    def _leave(self, _: nn.Module, args: Any, output: Any) -> None:
        self._inside.append(self._total - self._entered.pop())


def _units(model: FrozenModel, batch: Sequence[Example]) -> list[list[Any]]:
    """Return the rows of a batch by what must run at once."""
    objective = model.objective
    if objective.coupled:
        return [objective.lesson([example]) for example in batch]
    return [[row] for row in objective.lesson(batch)]


@contextmanager
def explained(doing: str, remedy: str) -> Iterator[None]:
    """Say what to do where memory runs out.

    Args:
        doing: what was being done, with its sizes.
        remedy: what to lower.

    Raises:
        LearningError: in place of what PyTorch or Python raise.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _exhausted(doing, remedy) from error
    except RuntimeError as error:
        if not any(message in str(error) for message in _CPU_MESSAGES):
            raise
        raise _exhausted(doing, remedy) from error


def _exhausted(doing: str, remedy: str) -> LearningError:
    return LearningError(f"out of memory while {doing}; {remedy}")


def training_sizes(model: FrozenModel, jobs: Sequence[TrainingJob], limits: Limits) -> str:
    """Say what is being trained, for a message."""
    rows = max((len(batch) for job in jobs for batch in job.batches), default=0)
    return (
        f"training {len(jobs)} devices ({_size(device_bytes(model, jobs))} each for adapter, "
        f"gradient and optimiser) on batches of up to {rows} examples, {limits.max_tokens} tokens "
        "at once"
    )


def _size(num_bytes: float) -> str:
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes:.0f} B"
