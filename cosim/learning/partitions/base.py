"""A partition: which device trains on which examples of which task."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.learning.errors import LearningError
from cosim.learning.tasks.base import Example
from cosim.plugin import Plugin
from cosim.rng import Draws


@dataclass(frozen=True)
class Share:
    """Examples of one task that one device holds: indices into the task's train split, [n]."""

    task: int
    examples: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class TaskData:
    """The training examples of one task, as a partition sees them.

    Attributes:
        name: of the task.
        examples: its train split.
        keys: gives the value of a key of the task's files for each example, as
            `cosim.learning.tasks.base.Task.keys`; nothing is read before it is called.
    """

    name: str
    examples: Sequence[Example] = field(repr=False)
    keys: Callable[[str], Sequence[str]] = field(repr=False)

    @property
    def num_examples(self) -> int:
        """Number of training examples."""
        return len(self.examples)

    def labels(self) -> NDArray[np.int64]:
        """Return each example's label, the place of its answer among the choices, [n].

        Raises:
            LearningError: examples differ in their choices, so that a place says nothing.
        """
        choices = self.examples[0].choices if self.examples else ()
        if any(example.choices != choices for example in self.examples) or not choices:
            raise LearningError(
                f"task {self.name}: expected the same choices for all questions, to divide them "
                "by label, got choices that differ from question to question; use `by: task`"
            )
        places = {choice: place for place, choice in enumerate(choices)}
        return np.array([places[example.answer] for example in self.examples], dtype=np.int64)


class Partition(Plugin):
    """Contract of family `partition`."""

    @abstractmethod
    def shares(
        self, draws: Draws, tasks: Sequence[TaskData], num_devices: int
    ) -> list[tuple[Share, ...]]:
        """Return what each device holds, in device order; every device holds something.

        Every example is on one device, unless the kind says otherwise. A device has at most one
        share of a task, in the order of the tasks, its examples in ascending order.

        Args:
            draws: random numbers of the partition.
            tasks: the training examples of each task.
            num_devices: number of devices.

        Raises:
            LearningError: the examples cannot be divided so; the message says why.
        """
