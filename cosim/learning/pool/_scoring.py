"""Judging adapters: which choice scores highest, in batches of rows of like length."""

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.errors import LearningError
from cosim.learning.mixture import Mixture
from cosim.learning.model_pool import EvaluationJob, Score
from cosim.learning.pool._below import blocks_below, read_once
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._lora import Stack, merged, stacked, views
from cosim.learning.pool._objective import Inputs, Sheet
from cosim.learning.pool._routing import mean_inputs, routed
from cosim.learning.pool._writing import accepts, is_written, questions
from cosim.learning.tasks.base import Example, Generation

# On a CPU smaller batches are faster: activations stay in the cache (measured, 15 to 30 %).
_CPU_TOKENS = 1024


Examples = tuple[Example, ...]


@dataclass(frozen=True)
class _Ready:
    """Rows ready to run: their batches, and where the outputs of these belong.

    Attributes:
        batches: what the model reads, and which of its tokens are of the question, [rows, T].
        order: which of the outputs of all batches is next in the order of the rows, [k].
    """

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
    digests: dict[int, bytes] = {}
    by_adapter: dict[Hashable, list[int]] = {}
    for number, job in enumerate(jobs):
        if not job.examples:
            raise LearningError("expected at least one example to judge an adapter by, got none")
        adapter = job.adapter
        key: Hashable = id(adapter)
        if isinstance(adapter, Adapter):
            if id(adapter.vector) not in digests:
                digests[id(adapter.vector)] = _digest(adapter)
            key = (adapter.layout.rank, adapter.scale, digests[id(adapter.vector)])
        by_adapter.setdefault(key, []).append(number)
    # Adapters that are asked the same read the same batches.
    by_sets: dict[tuple[Examples, ...], list[list[int]]] = {}
    for numbers in by_adapter.values():
        sets = tuple(dict.fromkeys(jobs[number].examples for number in numbers))
        by_sets.setdefault(sets, []).append(numbers)
    scores: dict[int, Score] = {}
    for sets, groups in by_sets.items():
        adapters = [jobs[numbers[0]].adapter for numbers in groups]
        chosen = [examples for examples in sets if not is_written(examples)]
        found: list[dict[Examples, Score]] = [{} for _ in groups]
        if chosen:
            found = _judge(model, adapters, chosen, max_tokens)
        for examples in sets:
            if is_written(examples):
                judged = _judge_written(model, adapters, questions(examples), max_tokens)
                for each, score in zip(found, judged, strict=True):
                    each[examples] = score
        for numbers, each in zip(groups, found, strict=True):
            scores |= {number: each[jobs[number].examples] for number in numbers}
    return [scores[number] for number in range(len(jobs))]


def _digest(adapter: Adapter) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(adapter.vector).data, digest_size=16).digest()


def _judge(
    model: FrozenModel,
    adapters: Sequence[Adapter | Mixture],
    sets: Sequence[Examples],
    max_tokens: int,
) -> list[dict[Examples, Score]]:
    """Judge each adapter by all sets of examples with choices."""
    sheet = model.objective.sheet([example for examples in sets for example in examples])
    ready = _ready(model, sheet.rows, sheet.sizes, max_tokens)
    found = []
    for adapter, outputs in zip(adapters, _outputs(model, adapters, ready), strict=True):
        if isinstance(adapter, Mixture):
            moved = adapter.head
        else:
            moved = adapter.vector[adapter.layout.part_head]
        heads = model.heads(torch.from_numpy(moved)[None].to(model.device))
        correct, nats = _marks(sheet, sheet.scores(outputs, heads))
        by_set, start = {}, 0
        for examples in sets:
            part = slice(start, start + len(examples))
            by_set[examples] = Score(float(correct[part].mean()), float(nats[part].mean()))
            start = part.stop
        found.append(by_set)
    return found


def _marks(
    sheet: Sheet[Any], scores: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return for each example whether the answer scores highest, and its nats of the choices."""
    correct = np.zeros(len(sheet.answers), dtype=np.bool_)
    nats_of_answer = np.zeros(len(sheet.answers))
    with np.errstate(invalid="ignore"):  # an adapter that diverged has a loss of nan
        for i, answer in enumerate(sheet.answers):
            choices = scores[sheet.first[i] : sheet.first[i + 1]]
            correct[i] = np.argmax(choices) == answer and np.isfinite(choices[answer])
            nats_of_answer[i] = np.logaddexp.reduce(choices) - choices[answer]
    return correct, nats_of_answer


def _judge_written(
    model: FrozenModel,
    adapters: Sequence[Adapter | Mixture],
    asked: Sequence[Generation],
    max_tokens: int,
) -> list[Score]:
    """Judge each adapter by what it writes, and by the mean nats of the answers' tokens."""
    right = []
    for adapter in adapters:
        if isinstance(adapter, Mixture):
            raise LearningError(
                "expected one adapter to write with, got a mixture that weighs its adapters anew "
                "for each input; choose inference by_method, sum, concat, linear or oracle for a "
                "task that is answered in words"
            )
        with torch.no_grad(), _with(model, adapter):
            texts = model.objective.write(asked, max_tokens)
        right.append([accepts(each, text) for each, text in zip(asked, texts, strict=True)])
    taught = [model.objective.lesson([question]) for question in asked]
    rows = [row for lesson in taught for row in lesson]
    sizes = np.array([model.objective.num_targets([row]) for row in rows])
    of_row = np.repeat(np.arange(len(asked)), [len(lesson) for lesson in taught])
    of_output = np.repeat(of_row, sizes)
    counts = np.bincount(of_output, minlength=len(asked))
    ready = _ready(model, rows, sizes, max_tokens)
    found = []
    for accepted, outputs in zip(right, _outputs(model, adapters, ready), strict=True):
        nats = outputs.double().cpu().numpy()
        means = np.bincount(of_output, weights=nats, minlength=len(asked)) / counts
        found.append(Score(float(np.mean(accepted)), float(means.mean())))
    return found


def _with(model: FrozenModel, adapter: Adapter) -> AbstractContextManager[None]:
    """Let the model run with one adapter."""
    # Merging costs one product per layer and spares the low-rank ones of every token. In bfloat16
    # it would round small updates away.
    using = merged if model.dtype == torch.float32 else stacked
    return using(model.linears, _stack(model, adapter))


def _outputs(
    model: FrozenModel, adapters: Sequence[Adapter | Mixture], ready: _Ready
) -> Iterator[Tensor]:
    """Return the outputs of all rows, in their order, by each adapter."""
    below = blocks_below(model.network, [site.name for site in model.sites])
    plain = [each for each in adapters if isinstance(each, Adapter)]
    together = bool(below) and len(plain) > 1
    read = iter(_batch_by_batch(model, plain, ready, below) if together else ())
    for adapter in adapters:
        with torch.no_grad():
            if isinstance(adapter, Mixture):
                outputs = _mixed(model, adapter, ready)
            else:
                outputs = next(read) if together else _plain(model, adapter, ready)
            found = torch.cat(outputs).index_select(0, ready.order)
        yield found


def _plain(model: FrozenModel, adapter: Adapter, ready: _Ready) -> list[Tensor]:
    """Return the outputs of all batches by one adapter."""
    with _with(model, adapter):
        return [model.objective.read(inputs) for inputs, _ in ready.batches]


def _batch_by_batch(
    model: FrozenModel, adapters: Sequence[Adapter], ready: _Ready, below: Sequence[nn.Module]
) -> list[list[Tensor]]:
    """Return the outputs of all batches by each adapter; what is below them is read once."""
    found: list[list[Tensor]] = [[] for _ in adapters]
    with torch.no_grad():
        for inputs, _ in ready.batches:
            with read_once(below):
                for adapter, outputs in zip(adapters, found, strict=True):
                    with _with(model, adapter):
                        outputs.append(model.objective.read(inputs))
    return found


def _mixed(model: FrozenModel, mixture: Mixture, ready: _Ready) -> list[Tensor]:
    """Return the outputs of all batches by a mixture, which weighs its adapters itself."""
    with routed(model.linears, mixture) as routing:
        return [
            routing.run(partial(model.objective.read, inputs), is_prompt)
            for inputs, is_prompt in ready.batches
        ]


def mean_inputs_of(model: FrozenModel, examples: Sequence[Example]) -> list[Vector]:
    """Return every layer's mean input of what is asked, without adapters, [d_in] each."""
    batches, _ = _batches(model, model.objective.lesson(examples), _CPU_TOKENS)
    return mean_inputs(
        model.linears,
        ((partial(model.objective.read, inputs), is_prompt) for inputs, is_prompt in batches),
    )


def _stack(model: FrozenModel, adapter: Adapter) -> Stack:
    flat = torch.from_numpy(adapter.vector)[None].to(device=model.device, dtype=model.dtype)
    a, b = views(adapter.layout, flat)
    scale = torch.full((1, 1, 1), adapter.scale, device=model.device)
    return Stack(a, b, scale, None, None, torch.zeros((), device=model.device))


def _ready(
    model: FrozenModel, rows: Sequence[Any], sizes: NDArray[np.int64], max_tokens: int
) -> _Ready:
    """Cut rows into batches; `sizes` are how many outputs each has."""
    batches, ranked = _batches(model, rows, max_tokens)
    # Where each row's outputs start among those of all batches.
    starts = np.zeros(len(rows), dtype=np.int64)
    starts[ranked] = np.cumsum([0, *sizes[ranked][:-1]])
    order = [s + i for s, size in zip(starts, sizes, strict=True) for i in range(size)]
    return _Ready(tuple(batches), torch.tensor(order, device=model.device))


def _batches(
    model: FrozenModel, rows: Sequence[Any], max_tokens: int
) -> tuple[list[tuple[Inputs, Tensor]], list[int]]:
    """Cut rows into batches of like length; return these, and the rows in the batches' order.

    Each batch is what the model reads, and which of its tokens are of the question, [rows, T].
    """
    if model.device.type == "cpu":
        max_tokens = min(max_tokens, _CPU_TOKENS)
    ranked = sorted(range(len(rows)), key=lambda row: rows[row].length)
    batches = []
    for numbers in _buckets([rows[row].length for row in ranked], max_tokens):
        part = [rows[ranked[number]] for number in numbers]
        length = part[-1].length
        prompts = torch.tensor([row.prompt for row in part], device=model.device)
        is_prompt = torch.arange(length, device=model.device) < prompts[:, None]
        batches.append((model.placed(model.objective.collate(part, length)), is_prompt))
    return batches, ranked


def _buckets(lengths: Sequence[int], max_tokens: int) -> list[range]:
    """Cut rows of ascending lengths into batches of at most `max_tokens`, padding counted."""
    buckets, start = [], 0
    for end, length in enumerate(lengths):
        if end > start and (end + 1 - start) * length > max_tokens:
            buckets.append(range(start, end))
            start = end
    return [*buckets, range(start, len(lengths))]
