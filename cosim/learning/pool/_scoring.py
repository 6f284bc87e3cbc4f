"""Judging adapters: which choice scores highest, in batches of rows of like length."""

import hashlib
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.errors import LearningError
from cosim.learning.mixture import Mixture
from cosim.learning.model_pool import EvaluationJob, Score
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._lora import Stack, merged, stacked, views
from cosim.learning.pool._objective import Inputs, Sheet
from cosim.learning.pool._routing import mean_inputs, routed
from cosim.learning.pool._writing import is_written, judge_written
from cosim.learning.tasks.base import Example

# On a CPU smaller batches are faster: activations stay in the cache (measured, 15 to 30 %).
_CPU_TOKENS = 1024


@dataclass(frozen=True)
class _Ready:
    """Examples ready to run: their batches, and where the outputs of these belong.

    Attributes:
        batches: what the model reads, and which of its tokens are of the question, [rows, T].
        order: which of the outputs of all batches is next in the order of the sheet's rows, [k].
    """

    sheet: Sheet[Any]
    batches: tuple[tuple[Inputs, Tensor], ...]
    order: Tensor


def evaluate(model: FrozenModel, jobs: Sequence[EvaluationJob], max_tokens: int) -> list[Score]:
    """Judge all jobs; equal adapters, and equal examples of one adapter, are run once.

    Args:
        model: the base model.
        jobs: adapters with examples.
        max_tokens: most tokens, padding counted, in one forward.

    Returns:
        One score for each job, in their order.
    """
    if model.device.type == "cpu":
        max_tokens = min(max_tokens, _CPU_TOKENS)
    digests: dict[int, bytes] = {}
    by_adapter: dict[Hashable, list[int]] = {}
    scores: dict[int, Score] = {}
    for number, job in enumerate(jobs):
        if not job.examples:
            raise LearningError("expected at least one example to judge an adapter by, got none")
        if is_written(job.examples):
            scores[number] = _judge_written(model, job, max_tokens)
            continue
        adapter = job.adapter
        key: Hashable = id(adapter)
        if isinstance(adapter, Adapter):
            if id(adapter.vector) not in digests:
                digests[id(adapter.vector)] = _digest(adapter)
            key = (adapter.layout.rank, adapter.scale, digests[id(adapter.vector)])
        by_adapter.setdefault(key, []).append(number)
    sheets: dict[tuple[tuple[Example, ...], ...], _Ready] = {}
    for numbers in by_adapter.values():
        sets = tuple(dict.fromkeys(jobs[number].examples for number in numbers))
        if sets not in sheets:
            sheets[sets] = _ready(model, [e for examples in sets for e in examples], max_tokens)
        found = _split(_judge(model, jobs[numbers[0]].adapter, sheets[sets]), sets)
        for number in numbers:
            scores[number] = found[jobs[number].examples]
    return [scores[number] for number in range(len(jobs))]


def _digest(adapter: Adapter) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(adapter.vector).data, digest_size=16).digest()


def _split(
    judged: tuple[NDArray[np.bool_], NDArray[np.float64]], sets: Sequence[tuple[Example, ...]]
) -> dict[tuple[Example, ...], Score]:
    correct, nats = judged
    found, start = {}, 0
    for examples in sets:
        part = slice(start, start + len(examples))
        found[examples] = Score(float(correct[part].mean()), float(nats[part].mean()))
        start = part.stop
    return found


def _judge(
    model: FrozenModel, adapter: Adapter | Mixture, ready: _Ready
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return for each example whether the answer scores highest, and its nats of the choices."""
    sheet = ready.sheet
    with torch.no_grad():
        if isinstance(adapter, Mixture):
            moved, outputs = adapter.head, _mixed(model, adapter, ready)
        else:
            moved, outputs = adapter.vector[adapter.layout.part_head], _plain(model, adapter, ready)
        heads = model.heads(torch.from_numpy(moved)[None].to(model.device))
        scores = sheet.scores(torch.cat(outputs).index_select(0, ready.order), heads)
    correct = np.zeros(len(sheet.answers), dtype=np.bool_)
    nats_of_answer = np.zeros(len(sheet.answers))
    with np.errstate(invalid="ignore"):  # an adapter that diverged has a loss of nan
        for i, answer in enumerate(sheet.answers):
            choices = scores[sheet.first[i] : sheet.first[i + 1]]
            correct[i] = np.argmax(choices) == answer and np.isfinite(choices[answer])
            nats_of_answer[i] = np.logaddexp.reduce(choices) - choices[answer]
    return correct, nats_of_answer


def _judge_written(model: FrozenModel, job: EvaluationJob, max_tokens: int) -> Score:
    if isinstance(job.adapter, Mixture):
        raise LearningError(
            "expected one adapter to write with, got a mixture that weighs its adapters anew for "
            "each input; choose inference by_method, sum, concat, linear or oracle for a task that "
            "is answered in words"
        )
    with torch.no_grad(), _with(model, job.adapter):
        return judge_written(model, model.network, job.examples, max_tokens)


def _with(model: FrozenModel, adapter: Adapter) -> AbstractContextManager[None]:
    """Let the model run with one adapter."""
    # Merging costs one product per layer and spares the low-rank ones of every token. In bfloat16
    # it would round small updates away.
    using = merged if model.dtype == torch.float32 else stacked
    return using(model.linears, _stack(model, adapter))


def _plain(model: FrozenModel, adapter: Adapter, ready: _Ready) -> list[Tensor]:
    """Return the outputs of all batches by one adapter."""
    with _with(model, adapter):
        return [model.objective.read(inputs) for inputs, _ in ready.batches]


def _mixed(model: FrozenModel, mixture: Mixture, ready: _Ready) -> list[Tensor]:
    """Return the outputs of all batches by a mixture, which weighs its adapters itself."""
    with routed(model.linears, mixture) as routing:
        return [
            routing.run(partial(model.objective.read, inputs), is_prompt)
            for inputs, is_prompt in ready.batches
        ]


def mean_inputs_of(model: FrozenModel, examples: Sequence[Example]) -> list[Vector]:
    """Return every layer's mean input of what is asked, without adapters, [d_in] each."""
    batches = _ready(model, examples, _CPU_TOKENS).batches
    return mean_inputs(
        model.linears,
        ((partial(model.objective.read, inputs), is_prompt) for inputs, is_prompt in batches),
    )


def _stack(model: FrozenModel, adapter: Adapter) -> Stack:
    flat = torch.from_numpy(adapter.vector)[None].to(device=model.device, dtype=model.dtype)
    a, b = views(adapter.layout, flat)
    scale = torch.full((1, 1, 1), adapter.scale, device=model.device)
    return Stack(a, b, scale, None, None, torch.zeros((), device=model.device))


def _ready(model: FrozenModel, examples: Sequence[Example], max_tokens: int) -> _Ready:
    sheet = model.objective.sheet(examples)
    rows = sorted(range(len(sheet.rows)), key=lambda row: sheet.rows[row].length)
    batches = []
    for numbers in _buckets([sheet.rows[row].length for row in rows], max_tokens):
        part = [sheet.rows[rows[number]] for number in numbers]
        length = part[-1].length
        prompts = torch.tensor([row.prompt for row in part], device=model.device)
        is_prompt = torch.arange(length, device=model.device) < prompts[:, None]
        batches.append((model.placed(model.objective.collate(part, length)), is_prompt))
    # Where each row's outputs start among those of all batches.
    starts = np.zeros(len(rows), dtype=np.int64)
    starts[rows] = np.cumsum([0, *sheet.sizes[rows][:-1]])
    order = [s + i for s, size in zip(starts, sheet.sizes, strict=True) for i in range(size)]
    return _Ready(sheet, tuple(batches), torch.tensor(order, device=model.device))


def _buckets(lengths: Sequence[int], max_tokens: int) -> list[range]:
    """Cut rows of ascending lengths into batches of at most `max_tokens`, padding counted."""
    buckets, start = [], 0
    for end, length in enumerate(lengths):
        if end > start and (end + 1 - start) * length > max_tokens:
            buckets.append(range(start, end))
            start = end
    return [*buckets, range(start, len(lengths))]
