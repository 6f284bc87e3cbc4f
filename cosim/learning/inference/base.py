"""Inference: how a device answers with its own adapter and with those that it knows of others."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Cohort, DeviceState, Expert, Method
from cosim.learning.mixture import Mixture, Router
from cosim.plugin import Plugin


@dataclass(frozen=True)
class Codes:
    """What P2's codes are made of: the mean inputs of every site, by whose training examples.

    What goes on the air is not these means but their codes z_j = A_j (mu_j - mu), rank floats for
    each site: who publishes one knows the A that its receivers hold. `center` must be the same
    for all devices. As the mean of all devices' means it costs each of them one sending of its own,
    d_in floats for each site; as that of a text that everybody has it costs nothing.

    Attributes:
        means: by device, for each site mu_j [d_in]: of the base model without adapters, over the
            tokens of the prompts of its training examples.
        center: for each site mu [d_in].
    """

    means: Mapping[int, tuple[Vector, ...]] = field(repr=False)
    center: tuple[Vector, ...] = field(repr=False)

    @classmethod
    def of(cls, means: Mapping[int, Sequence[Vector]]) -> "Codes":
        """Return the codes whose center is the mean of all devices' means."""
        parts = {device: tuple(each) for device, each in means.items()}
        center = tuple(
            np.stack(site).mean(axis=0, dtype=np.float64).astype(np.float32)
            for site in zip(*parts.values(), strict=True)
        )
        return cls(parts, center)

    def offset(self, site: int, members: Sequence[int]) -> Vector:
        """Return the mean of the members' mu_j - mu at one site, [d_in]."""
        unknown = [member for member in members if member not in self.means]
        if unknown:
            raise LearningError(f"expected a code of every device, got none of {unknown}")
        mean: Vector = np.stack([self.means[each][site] for each in members]).mean(axis=0)
        return mean - self.center[site]


@dataclass(frozen=True)
class Question:
    """What a device is asked: examples of one task.

    Attributes:
        task: number of the task.
        tasks_of: the tasks that each device trains on, by device.
        codes: the devices' codes; None unless the inference asks for them.
    """

    task: int
    tasks_of: Mapping[int, frozenset[int]] = field(repr=False)
    codes: Codes | None = field(default=None, repr=False)


class Inference(Plugin):
    """Contract of family `inference`.

    Attributes:
        asks_for_task: whether the answer depends on the question's task; otherwise it is asked for
            once.
        asks_for_codes: whether the question must have the devices' codes.
    """

    asks_for_task: ClassVar[bool] = False
    asks_for_codes: ClassVar[bool] = False

    @abstractmethod
    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter | Mixture:
        """Return what a device answers the examples of a task with.

        Raises:
            cosim.learning.errors.LearningError: the method's adapters cannot be combined so.
        """


def routed(experts: Sequence[Expert], router: Router) -> Adapter | Mixture:
    """Return the mixture of the experts; of one alone, its adapter."""
    if len(experts) == 1:
        return experts[0].adapter
    return Mixture(tuple(expert.adapter for expert in experts), router)


def shares(experts: Sequence[Expert]) -> list[float]:
    """Return each expert's part of all members, of sum 1."""
    total = sum(len(expert.members) for expert in experts)
    return [len(expert.members) / total for expert in experts]


class Routed(Inference):
    """An inference whose router goes by the adapters alone."""

    @abstractmethod
    def router(self, adapters: tuple[Adapter, ...]) -> Router:
        """Return what weighs these adapters."""

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter | Mixture:
        """Return the mixture."""
        experts = method.experts(cohort, state)
        return routed(experts, self.router(tuple(expert.adapter for expert in experts)))
