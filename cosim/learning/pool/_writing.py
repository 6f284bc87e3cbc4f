"""Judging what a model writes: questions without choices, which it answers in its own words."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import nn

from cosim.learning.errors import LearningError
from cosim.learning.model_pool import Score
from cosim.learning.pool._decoding import cut
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


def questions(examples: Sequence[Example]) -> list[Generation]:
    """Return those that are answered in words."""
    return [example for example in examples if isinstance(example, Generation)]


def judge_written(model: FrozenModel, network: nn.Module, examples: Sequence[Example]) -> Score:
    """Judge a model by what it writes, question by question and plainly.

    Args:
        model: the base model.
        network: the model with its adapter.
        examples: `Generation`s, at least one.

    Returns:
        The fraction of texts that are accepted, and the mean over the examples of the nats of the
        taught answer's tokens.
    """
    asked = questions(examples)
    right = [accepts(one, model.objective.plain_write(network, one)) for one in asked]
    loss = partial(model.objective.loss, network, heads=None)
    nats = [float(loss([one])) for one in asked]
    return Score(float(np.mean(right)), float(np.mean(nats)))


def accepts(question: Generation, text: str) -> bool:
    """Return whether a text, up to the first of the question's stops, is right."""
    return question.judge.accepts(cut(text, question.stops))
