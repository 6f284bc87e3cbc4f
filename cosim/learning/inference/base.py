"""Inference: how a device answers with its own adapter and with those that it knows of others."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Adapter, Vector
from cosim.learning.methods.base import Cohort, DeviceState, Expert, Method
from cosim.learning.mixture import Mixture, Router
from cosim.plugin import Plugin


@dataclass(frozen=True)
class Codes:
    """The codes that one device knows (`cosim.learning.inference.implicit`).

    Attributes:
        center: for each site mu [d_in], the same for all devices.
        known: by whose they are: for each site the rank numbers of z_j, [num sites, rank].
    """

    center: tuple[Vector, ...] = field(repr=False)
    known: Mapping[int, NDArray[np.float32]] = field(repr=False)

    def of(self, members: Sequence[int]) -> NDArray[np.float32] | None:
        """Return the mean of those members' codes that are known; None if none is."""
        found = [self.known[member] for member in members if member in self.known]
        if not found:
            return None
        mean: NDArray[np.float32] = np.stack(found).mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)


@dataclass(frozen=True)
class Question:
    """What a device is asked: examples of one task.

    Attributes:
        task: number of the task.
        tasks_of: the tasks that each device trains on, by device.
        codes: those that the device knows; None unless the inference asks for them.
    """

    task: int
    tasks_of: Mapping[int, frozenset[int]] = field(repr=False)
    codes: Codes | None = field(default=None, repr=False)


class Inference(Plugin):
    """Contract of family `inference`.

    Attributes:
        asks_for_task: whether the answer depends on the question's task; otherwise it is asked for
            once.
        asks_for_codes: whether devices must send codes, and the question have those known.
    """

    asks_for_task: ClassVar[bool] = False
    asks_for_codes: ClassVar[bool] = False

    def misfit(self, method: Method) -> str | None:
        """Return why this cannot combine a method's adapters, and what would do; None if it can."""
        return None

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
