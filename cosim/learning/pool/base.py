"""The model pool: one frozen base model, the adapters of many devices.

A training is a pure function of its job. Jobs wait until the first result is asked for; then all
that wait run as one batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cosim.learning.adapter import Adapter, Mask, Site, Vector
from cosim.learning.models.base import ModelSource
from cosim.learning.tasks.base import Example
from cosim.plugin import Plugin

if TYPE_CHECKING:
    from cosim.learning.learner import Learner, LearningSetting


@dataclass(frozen=True)
class Optimisation:
    """How local training steps: `optimizer` is `adamw` or `sgd`; its state starts anew each job.

    Attributes:
        clip: largest norm of one device's gradient; None for no clipping.
    """

    optimizer: str
    lr: float
    weight_decay: float
    clip: float | None


@dataclass(frozen=True)
class TrainingJob:
    """One local training: fixed inputs, no outside state.

    Attributes:
        adapter: where it starts.
        trainable: coordinates that may move; all others keep their bits exactly.
        batches: for every step the examples of its batch.
    """

    device: int
    round: int
    adapter: Adapter
    trainable: Mask = field(repr=False)
    batches: tuple[tuple[Example, ...], ...] = field(repr=False)
    optimisation: Optimisation


@dataclass(frozen=True)
class TrainingResult:
    """Where a job ended: the vector, and the loss of every step (nats per answer token)."""

    vector: Vector = field(repr=False)
    losses: tuple[float, ...]


@dataclass(frozen=True)
class EvaluationJob:
    """One adapter to be judged on one task's examples."""

    adapter: Adapter
    examples: tuple[Example, ...] = field(repr=False)


@dataclass(frozen=True)
class Score:
    """How well an adapter does.

    Attributes:
        accuracy: fraction of the examples whose likeliest choice is the answer.
        loss: mean negative log-likelihood of the answer among the choices, nats.
    """

    accuracy: float
    loss: float


class ModelPool(ABC):
    """A running pool."""

    @property
    @abstractmethod
    def sites(self) -> tuple[Site, ...]:
        """The adapted linear layers of the base model, in the model's order."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Parameters N of the frozen base model that multiply every token.

        These are all weight matrices with the output head (once, tied or not) and without
        embedding tables, as in the count 4N + 6 N_adapter of FLOPs per trained token.
        """

    @abstractmethod
    def num_tokens(self, batches: Sequence[Sequence[Example]]) -> int:
        """Return the tokens of the prompts and answers of these batches (padding not counted)."""

    @abstractmethod
    def train(self, jobs: Sequence[TrainingJob]) -> list[TrainingResult]:
        """Run all jobs, and return their results in the same order.

        A job's result is the same whatever other jobs run with it, but for rounding. A loss that
        is not finite is returned as it is.

        Raises:
            cosim.learning.errors.LearningError: an example has no tokens to learn from, or more
                than the model can read.
        """

    @abstractmethod
    def evaluate(self, jobs: Sequence[EvaluationJob]) -> list[Score]:
        """Judge all jobs, and return their scores in the same order.

        A choice's score is the mean log-likelihood of its tokens after the prompt.

        Raises:
            cosim.learning.errors.LearningError: a job has no examples, or an example has no
                tokens to judge, or more than the model can read.
        """


class Pool(Plugin):
    """Contract of family `pool`: what stands behind the payloads of a run."""

    @abstractmethod
    def learner(self, setting: "LearningSetting") -> "Learner":
        """Return the learning half of a run."""


class TrainingPool(Pool):
    """A pool that trains adapters on a real model."""

    def learner(self, setting: "LearningSetting") -> "Learner":
        """Load the base model and the tasks, and return the learner over them."""
        # It imports this module.
        from cosim.learning.adapter_learner import AdapterLearner  # noqa: PLC0415

        return AdapterLearner(setting, self.open(setting.learning.model))

    @abstractmethod
    def open(self, source: ModelSource) -> ModelPool:
        """Load the base model and return a pool over it."""
