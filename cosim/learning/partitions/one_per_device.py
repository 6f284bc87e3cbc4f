"""One task for each device (P1's setting): who trains what differs as much as it can."""

from collections.abc import Sequence

import numpy as np

from cosim.learning.errors import LearningError
from cosim.learning.partitions.base import Partition, Share, TaskData
from cosim.rng import Draws


class OnePerDevice(Partition):
    """Device i holds examples of task i mod T; devices with the same task split it evenly."""

    def shares(
        self, draws: Draws, tasks: Sequence[TaskData], num_devices: int
    ) -> list[tuple[Share, ...]]:
        """Split every task among its devices, each example to one of them.

        Raises:
            LearningError: a task has fewer examples than devices.
        """
        num_tasks = len(tasks)
        held: list[tuple[Share, ...]] = []
        for device in range(num_devices):
            task = device % num_tasks
            sharers = len(range(task, num_devices, num_tasks))
            num_examples = tasks[task].num_examples
            if num_examples < sharers:
                raise LearningError(
                    f"partition one_per_device: expected at least {sharers} training examples of "
                    f"task {tasks[task].name}, one for each of its devices, got {num_examples}; "
                    "take fewer devices or more examples"
                )
            order = draws.generator("partition", task).permutation(num_examples)
            mine = order[device // num_tasks :: sharers]
            held.append((Share(task, np.sort(mine).astype(np.int64)),))
        return held
