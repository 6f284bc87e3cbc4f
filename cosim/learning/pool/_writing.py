"""Judging what a model writes: questions without choices, which it answers in its own words."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import nn

from cosim.learning.errors import LearningError
from cosim.learning.model_pool import Score
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.tasks.base import Example, Generation


def is_written(examples: Sequence[Example]) -> bool:
    """Return whether all of these are answered in words.

    Raises:
        LearningError: some are, and some have choices.
    """
    written = [isinstance(example, Generation) for example in examples]
    if any(written) and not all(written):
        raise LearningError(
            "expected a task whose examples all have choices or are all answered in words, got both"
        )
    return all(written)


def judge_written(
    model: FrozenModel, network: nn.Module, examples: Sequence[Example], max_tokens: int
) -> Score:
    """Judge a model, as it is at present, by what it writes.

    Args:
        model: the base model.
        network: the model with its adapter.
        examples: `Generation`s, at least one.
        max_tokens: most tokens, padding counted, that are worked on at once.

    Returns:
        The fraction of texts that are accepted, and the mean over the examples of the nats of the
        taught answer's tokens.
    """
    questions = [example for example in examples if isinstance(example, Generation)]
    right = np.zeros(len(questions), dtype=np.bool_)
    for part in _parts(questions, max_tokens):
        asked = [questions[number] for number in part]
        most = asked[0].max_tokens
        for number, text in zip(part, model.objective.write(network, asked, most), strict=True):
            right[number] = questions[number].judge.accepts(_cut(text, questions[number].stops))
    loss = partial(model.objective.loss, network, heads=None)
    nats = [float(loss([question])) for question in questions]
    return Score(float(right.mean()), float(np.mean(nats)))


def _parts(questions: Sequence[Generation], max_tokens: int) -> list[list[int]]:
    """Return which questions are written to together: of like prompts, and as many tokens more."""
    order = sorted(
        range(len(questions)), key=lambda i: (questions[i].max_tokens, len(questions[i].prompt), i)
    )
    parts: list[list[int]] = []
    for number in order:
        question = questions[number]
        # A token is at least a character, so that this is at most too cautious.
        size = len(question.prompt) + question.max_tokens
        part = parts[-1] if parts else []
        fits = part and (len(part) + 1) * size <= max_tokens
        if fits and questions[part[0]].max_tokens == question.max_tokens:
            part.append(number)
        else:
            parts.append([number])
    return parts


def _cut(text: str, stops: Sequence[str]) -> str:
    """Return the text up to the first of the stops."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
