"""A running model pool: trainings and evaluations as pure functions of their jobs.

One frozen base model serves the adapters of all devices. Nothing here knows of devices' states or
of time: who asks fixes the inputs, and may ask for many jobs at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Adapter, Mask, Site, Vector
from cosim.learning.mixture import Mixture
from cosim.learning.penalties import Penalty
from cosim.learning.tasks.base import Example


@dataclass(frozen=True)
class Optimisation:
    """How local training steps: `optimizer` is `adamw` or `sgd`.

    Attributes:
        clip: largest norm of one device's gradient; None for no clipping.
        momentum: of SGD, as in torch.optim without dampening.
    """

    optimizer: str
    lr: float
    weight_decay: float
    clip: float | None
    momentum: float = 0.0


@dataclass(frozen=True)
class OptimiserState:
    """What an optimiser knows of the steps before, coordinate by coordinate.

    Attributes:
        num_steps: how many steps it has made, which AdamW's bias correction goes by.
        mean: AdamW's running mean of the gradients, or SGD's momentum, [layout.size].
        square: AdamW's running mean of their squares, [layout.size]; of SGD [0].
    """

    num_steps: int
    mean: Vector = field(repr=False)
    square: Vector = field(repr=False)

    @classmethod
    def fresh(cls, optimizer: str, size: int) -> "OptimiserState":
        """Return the state before the first step, for an adapter of so many coordinates."""
        squares = size if optimizer == "adamw" else 0
        return cls(0, np.zeros(size, np.float32), np.zeros(squares, np.float32))


@dataclass(frozen=True)
class TrainingJob:
    """One local training: fixed inputs, no outside state.

    Attributes:
        adapter: where it starts.
        trainable: coordinates that may move; all others keep their bits exactly.
        batches: for every step the examples of its batch.
        penalty: added to the loss; None for nothing.
        lr_factors: of the learning rate, one for each step; None for 1 throughout.
        optimiser: where the optimiser goes on from; None if it starts anew and nothing is to be
            known of it at the end.
    """

    device: int
    round: int
    adapter: Adapter
    trainable: Mask = field(repr=False)
    batches: tuple[tuple[Example, ...], ...] = field(repr=False)
    optimisation: Optimisation
    penalty: Penalty | None = None
    lr_factors: tuple[float, ...] | None = field(default=None, repr=False)
    optimiser: OptimiserState | None = None


@dataclass(frozen=True)
class TrainingResult:
    """Where a job ended: the vector, and the loss of every step.

    It is nats per answer token of a language model, and else nats per example.

    Attributes:
        optimiser: where the optimiser ended; coordinates that were not trained have what the job
            says of them. None if the job has none.
    """

    vector: Vector = field(repr=False)
    losses: tuple[float, ...]
    optimiser: OptimiserState | None = None


@dataclass(frozen=True)
class EvaluationJob:
    """One adapter, or a mixture of some, to be judged on one task's examples."""

    adapter: Adapter | Mixture
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
    """Contract of what a pool opens."""

    @property
    @abstractmethod
    def sites(self) -> tuple[Site, ...]:
        """The adapted linear layers of the base model, in the model's order."""

    @property
    @abstractmethod
    def head(self) -> Site | None:
        """The output layer that is trained with the adapters; None where there is none such."""

    @property
    def head_start(self) -> Vector | None:
        """Where the head starts, in the order of `Layout.part_head`; None where there is none."""
        return None

    @property
    def task_type(self) -> str | None:
        """PEFT's name of what the model is for, such as CAUSAL_LM; None where none fits."""
        return None

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Parameters N of the frozen base model that multiply every token.

        These are all weight matrices with a language model's output head (once, tied or not) and
        without embedding tables, as in the count 4N + 6 N_adapter of FLOPs per trained token. An
        encoder has no such head, and of a vision transformer the patch projection counts. A head
        that is trained is not among them: it multiplies one vector of each example.
        """

    @abstractmethod
    def num_tokens(self, batches: Sequence[Sequence[Example]]) -> int:
        """Return the tokens that training on these batches reads (padding not counted).

        A language model reads prompts and answers, an encoder the prompts and, where it matches
        them, each distinct choice once for each batch, and a vision transformer the patches of
        every image and the class token.
        """

    @abstractmethod
    def mean_inputs(self, examples: Sequence[Example]) -> list[Vector]:
        """Return every site's mean input, [d_in], of the model without adapters.

        It is the mean over the tokens of what is asked: no padding, and no tokens of choices that
        follow a prompt.
        """

    def input_spectra(self, examples: Sequence[Example]) -> list[NDArray[np.float64]] | None:
        """Return the eigenvalues of every site's input covariance, of the model without adapters.

        Inputs are of the same tokens as in `mean_inputs`, or of a part of them; of fewer tokens
        than inputs the smallest eigenvalues may be missing. None where the pool does not say.
        """
        return None

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

        A choice's score is the mean log-likelihood of its tokens after the prompt, the cosine of
        its embedding and the prompt's over a temperature, or the logit of its class.

        Raises:
            cosim.learning.errors.LearningError: a job has no examples, or an example has no
                tokens to judge, or more than the model can read.
        """
