"""Judging adapters: which choice the model finds likeliest, in batches of like length.

The score of a choice is the mean log-likelihood of its tokens after the prompt. A choice of one
token needs only the prompt, so all such choices of an example share one row.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosim.learning.adapter import Adapter
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import EvaluationJob, Score
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._lora import Stack, merged, stacked, views
from cosim.learning.pool._tokens import Ids, Text
from cosim.learning.tasks.base import Example

# On a CPU smaller batches are faster: activations stay in the cache (measured, 15 to 30 %).
_CPU_TOKENS = 1024


class _Row(NamedTuple):
    """Tokens to read, and which log-likelihoods are wanted: token and choice at places."""

    ids: Ids
    wanted: list[tuple[int, int, int]]  # place in ids, token after it, number of the choice


@dataclass(frozen=True)
class _Batch:
    """Rows of like length, and the log-likelihoods wanted of them.

    Attributes:
        ids: [rows, T].
        places: places in the flattened ids whose logits are needed, [k].
        rows: for each log-likelihood the number of its place among `places`, [e].
        tokens: the token whose log-likelihood it is, [e].
        slots: the choice it belongs to, [e].
    """

    ids: Tensor
    places: Tensor
    rows: Tensor
    tokens: Tensor
    slots: NDArray[np.int64]


@dataclass(frozen=True)
class _Sheet:
    """Examples ready to run: their batches, and their choices numbered throughout.

    Attributes:
        first: the number of each example's first choice; after the last, of all choices, [n + 1].
        answers: the place of each example's answer among its choices, [n].
        num_tokens: tokens of each choice, [first[-1]].
    """

    batches: tuple[_Batch, ...]
    first: NDArray[np.int64]
    answers: NDArray[np.int64]
    num_tokens: NDArray[np.int64]


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
    by_adapter: dict[tuple[int, float, bytes], list[int]] = {}
    for number, job in enumerate(jobs):
        if not job.examples:
            raise LearningError("expected at least one example to judge an adapter by, got none")
        adapter = job.adapter
        if id(adapter.vector) not in digests:
            digests[id(adapter.vector)] = _digest(adapter)
        key = (adapter.layout.rank, adapter.scale, digests[id(adapter.vector)])
        by_adapter.setdefault(key, []).append(number)
    model.tokens.prepare({e: None for job in jobs for e in job.examples})
    sheets: dict[tuple[tuple[Example, ...], ...], _Sheet] = {}
    scores: dict[int, Score] = {}
    for numbers in by_adapter.values():
        sets = tuple(dict.fromkeys(jobs[number].examples for number in numbers))
        if sets not in sheets:
            sheets[sets] = _sheet(model, [e for examples in sets for e in examples], max_tokens)
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
    model: FrozenModel, adapter: Adapter, sheet: _Sheet
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return for each example whether the answer is likeliest, and its nats among the choices."""
    sums = np.zeros(len(sheet.num_tokens))
    stack = _stack(model, adapter)
    # Merging costs one product per layer and spares the low-rank ones of every token. In bfloat16
    # it would round small updates away.
    using = merged if model.dtype == torch.float32 else stacked
    with torch.no_grad(), using(model.linears, stack):
        for batch in sheet.batches:
            logits = model.logits(batch.ids, batch.places)
            nats = torch.logsumexp(logits, dim=1)[batch.rows] - logits[batch.rows, batch.tokens]
            np.add.at(sums, batch.slots, -nats.double().cpu().numpy())
    means = sums / sheet.num_tokens
    correct = np.zeros(len(sheet.answers), dtype=np.bool_)
    nats_of_answer = np.zeros(len(sheet.answers))
    with np.errstate(invalid="ignore"):  # an adapter that diverged has a loss of nan
        for i, answer in enumerate(sheet.answers):
            choices = means[sheet.first[i] : sheet.first[i + 1]]
            correct[i] = np.argmax(choices) == answer and np.isfinite(choices[answer])
            nats_of_answer[i] = np.logaddexp.reduce(choices) - choices[answer]
    return correct, nats_of_answer


def _stack(model: FrozenModel, adapter: Adapter) -> Stack:
    flat = torch.from_numpy(adapter.vector)[None].to(device=model.device, dtype=model.dtype)
    a, b = views(adapter.layout, flat)
    scale = torch.full((1, 1, 1), adapter.scale, device=model.device)
    return Stack(a, b, scale, None, None, torch.zeros((), device=model.device))


def _sheet(model: FrozenModel, examples: Sequence[Example], max_tokens: int) -> _Sheet:
    rows: list[_Row] = []
    first, answers = [0], []
    num_tokens: list[int] = []
    for example in examples:
        if example.answer not in example.choices:
            raise LearningError(
                f"expected the answer among the choices {example.choices}, got {example.answer!r}"
            )
        texts = model.tokens.choices(example)
        rows.extend(_rows(texts, first[-1]))
        answers.append(example.choices.index(example.answer))
        num_tokens.extend(len(text.ids) - text.start for text in texts)
        first.append(first[-1] + len(texts))
    rows.sort(key=lambda row: len(row.ids))
    return _Sheet(
        tuple(_batch(model, part) for part in _buckets(rows, max_tokens)),
        np.array(first),
        np.array(answers),
        np.array(num_tokens),
    )


def _rows(texts: Sequence[Text], first: int) -> list[_Row]:
    """Return the rows of one example, whose choices are numbered from `first`."""
    rows, short = [], []
    for number, text in enumerate(texts, first):
        targets = text.ids[text.start :].tolist()
        if len(targets) == 1:
            short.append((text.start - 1, targets[0], number))
            continue
        wanted = [(text.start - 1 + i, token, number) for i, token in enumerate(targets)]
        rows.append(_Row(text.ids[:-1], wanted))
    if short and rows:
        rows[0].wanted.extend(short)  # every row begins with the prompt
    elif short:
        rows.append(_Row(texts[0].ids[: texts[0].start], short))
    return rows


def _buckets(rows: Sequence[_Row], max_tokens: int) -> list[Sequence[_Row]]:
    """Cut rows, sorted by length, into batches of at most `max_tokens`, padding counted."""
    buckets, start = [], 0
    for end, row in enumerate(rows):
        if end > start and (end + 1 - start) * len(row.ids) > max_tokens:
            buckets.append(rows[start:end])
            start = end
    buckets.append(rows[start:])
    return buckets


def _batch(model: FrozenModel, rows: Sequence[_Row]) -> _Batch:
    length = len(rows[-1].ids)
    ids = np.full((len(rows), length), model.tokens.pad_id, dtype=np.int64)
    entries: list[tuple[int, int, int]] = []
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        entries.extend((i * length + place, token, slot) for place, token, slot in row.wanted)
    table = np.array(entries, dtype=np.int64)
    places, numbers = np.unique(table[:, 0], return_inverse=True)
    device = model.device
    return _Batch(
        torch.from_numpy(ids).to(device),
        torch.from_numpy(places).to(device),
        torch.from_numpy(numbers.reshape(-1)).to(device),
        torch.from_numpy(np.ascontiguousarray(table[:, 1])).to(device),
        table[:, 2],
    )
