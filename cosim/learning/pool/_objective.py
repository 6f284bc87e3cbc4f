"""An objective: what a kind of model reads of examples, and what its outputs say of the choices.

The pools know rows, lengths and outputs; what is in them is the objective's. A row is what the
model reads in one line of a batch. A stacked pool pads rows of like length to one, lets the model
read them, and asks the objective for the nats of what was to be learned (training) or for the
scores of the choices (judging). `loss` and `plain_scores` are the same written as the libraries
have it, for the sequential pool, which is the oracle.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from cosim.learning.adapter import Site
from cosim.learning.errors import LearningError
from cosim.learning.tasks.base import Example, Generation

Inputs = dict[str, Tensor]


class Row(Protocol):
    """What the model reads in one line of a batch."""

    @property
    def length(self) -> int:
        """Its tokens."""

    @property
    def prompt(self) -> int:
        """How many of its tokens, the first ones, are of the question and not of a choice."""


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Heads:
    """The trained output layers of m devices: y = weight x + bias.

    Attributes:
        weight: [m, classes, d].
        bias: [m, classes].
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Sheet(Generic[R]):
    """Examples to be judged: what is to be read for them, and how outputs become scores.

    Attributes:
        first: the number of each example's first choice; after the last, of all choices, [n + 1].
        answers: the place of each example's answer among its choices, [n].
        sizes: how many outputs each row has, [rows].
        scores: makes of the outputs of all rows, in their order, and one device's head the score
            of every choice, float64 [first[-1]].
    """

    rows: Sequence[R]
    first: NDArray[np.int64]
    answers: NDArray[np.int64]
    sizes: NDArray[np.int64]
    scores: Callable[[Tensor, Heads | None], NDArray[np.float64]] = field(repr=False)


class Objective(ABC, Generic[R]):
    """Contract of what stands between examples and a model.

    Attributes:
        task_type: PEFT's name of what the model is for; None where it has none that fits.
        coupled: whether what is learned of a row depends on the outputs of others of the same
            device. If so every row has exactly one output.
    """

    task_type: str | None = None
    coupled: ClassVar[bool] = False

    @property
    def head(self) -> Site | None:
        """The output layer that is trained with the adapters; None where there is none such."""
        return None

    @property
    def output(self) -> nn.Module | None:
        """The frozen output layer, which no adapter is put on; None where there is none such."""
        return None

    @abstractmethod
    def count(self, examples: Sequence[Example]) -> int:
        """Return the tokens that one training step on these examples reads."""

    @abstractmethod
    def lesson(self, examples: Sequence[Example]) -> list[R]:
        """Return the rows of one device's examples, for training.

        Raises:
            LearningError: an example is none for this kind of model.
        """

    @abstractmethod
    def num_targets(self, rows: Sequence[R]) -> int:
        """Return how many nats these rows of a lesson give: the loss is their mean."""

    @abstractmethod
    def collate(self, rows: Sequence[R], length: int) -> Inputs:
        """Return the rows, padded to `length`, as tensors that `read` takes."""

    @abstractmethod
    def read(self, inputs: Inputs) -> Tensor:
        """Let the model read rows; return their outputs, float32, row by row along dimension 0."""

    @abstractmethod
    def nats(
        self, lessons: Sequence[Sequence[R]], outputs: Tensor, heads: Heads | None
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of what was to be learned, to be differentiated.

        Args:
            lessons: rows by lesson; whole lessons if coupled.
            outputs: of all rows, in this order.
            heads: one for each lesson; None where the model has no trained head.

        Returns:
            nats [n], and the lesson that each is of, int64 [n].
        """

    @abstractmethod
    def sheet(self, examples: Sequence[Example]) -> Sheet[R]:
        """Return what is to be read to judge these examples.

        Raises:
            LearningError: an example is none for this kind of model.
        """

    @abstractmethod
    def loss(self, network: nn.Module, examples: Sequence[Example], heads: Heads | None) -> Tensor:
        """Return the mean nats of these examples, plainly, by one device's network."""

    @abstractmethod
    def plain_scores(self, network: nn.Module, example: Example, heads: Heads | None) -> Tensor:
        """Return the score of each choice of one example, plainly, float64 [choices]."""

    def write(self, questions: Sequence[Generation], max_tokens: int) -> list[str]:
        """Return what the model writes after each prompt, likeliest token by likeliest token.

        Args:
            questions: at least one; a text may go on after the first of its question's stops.
            max_tokens: most tokens, padding counted, in one forward.

        Raises:
            LearningError: this kind of model writes nothing, or a prompt is too long.
        """
        raise LearningError(_MUTE)

    def plain_write(self, network: nn.Module, question: Generation) -> str:
        """Return what a model writes after one prompt, plainly.

        Raises:
            LearningError: this kind of model writes nothing, or the prompt is too long.
        """
        raise LearningError(_MUTE)


_MUTE = (
    "expected a model that writes text (kind causal_lm) for a task that is answered in words; "
    "choose another model, or a task with choices"
)


def answer_of(example: Example) -> int:
    """Return the place of the answer among the choices."""
    if not example.choices:
        raise LearningError(
            "expected choices to tell the answer from, got a question that is answered in words; "
            "choose a model that writes text (kind causal_lm), or a task with choices"
        )
    if example.answer not in example.choices:
        raise LearningError(
            f"expected the answer among the choices {example.choices}, got {example.answer!r}"
        )
    return example.choices.index(example.answer)
