"""What partitions by label have in common: the classes of all tasks, and hands of their examples.

A class is a task, or a label of a task. An example is a number over all tasks: those of the first
task come first.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cosim.learning.partitions.base import Share, TaskData

By = Literal["label", "task"]
Numbers = NDArray[np.int64]


def classes(tasks: Sequence[TaskData], by: By) -> list[Numbers]:
    """Return the examples of each class that has any, tasks in order, labels in order in each.

    Raises:
        LearningError: by label, and a task has none.
    """
    found, first = [], 0
    for task in tasks:
        numbers = np.arange(first, first + task.num_examples)
        first += task.num_examples
        if by == "task":
            found.append(numbers)
        else:
            labels = task.labels()
            found.extend(numbers[labels == label] for label in np.unique(labels))
    return [each for each in found if len(each)]


def as_shares(hands: Sequence[Numbers], tasks: Sequence[TaskData]) -> list[tuple[Share, ...]]:
    """Return devices' shares, given the examples that each holds."""
    ends = np.cumsum([task.num_examples for task in tasks])
    found = []
    for hand in hands:
        ordered = np.sort(hand).astype(np.int64)
        parts = np.split(ordered, np.searchsorted(ordered, ends[:-1]))
        starts = [0, *ends[:-1].tolist()]
        found.append(
            tuple(
                Share(task, part - start)
                for task, (part, start) in enumerate(zip(parts, starts, strict=True))
                if len(part)
            )
        )
    return found
