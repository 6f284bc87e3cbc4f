"""Inference: how a device answers with its own adapter and with those that it knows of others."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from cosim.learning.adapter import Adapter
from cosim.learning.methods.base import Cohort, DeviceState, Method
from cosim.plugin import Plugin


@dataclass(frozen=True)
class Question:
    """What a device is asked: examples of one task.

    Attributes:
        task: number of the task.
        tasks_of: the tasks that each device trains on, by device.
    """

    task: int
    tasks_of: Mapping[int, frozenset[int]] = field(repr=False)


class Inference(Plugin):
    """Contract of family `inference`.

    Attributes:
        asks_for_task: whether the answer depends on the question; otherwise it is asked for once.
    """

    asks_for_task: ClassVar[bool] = False

    @abstractmethod
    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter:
        """Return what a device answers the examples of a task with.

        Raises:
            cosim.learning.errors.LearningError: the method's adapters cannot be combined so.
        """
