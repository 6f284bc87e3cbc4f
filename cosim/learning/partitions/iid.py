"""Every device holds an equal random part of every task."""

from collections.abc import Sequence

import numpy as np

from cosim.learning.errors import LearningError
from cosim.learning.partitions.base import Partition, Share, TaskData
from cosim.rng import Draws


class Iid(Partition):
    """All tasks on all devices, split at random; devices' totals differ by one at most."""

    def shares(
        self, draws: Draws, tasks: Sequence[TaskData], num_devices: int
    ) -> list[tuple[Share, ...]]:
        """Deal the shuffled examples of one task after the other round the devices.

        Raises:
            LearningError: there are fewer examples than devices.
        """
        total = sum(task.num_examples for task in tasks)
        if total < num_devices:
            raise LearningError(
                f"partition iid: expected at least {num_devices} training examples, one for each "
                f"device, got {total}; take fewer devices or more examples"
            )
        held: list[list[Share]] = [[] for _ in range(num_devices)]
        dealt = 0
        for task, data in enumerate(tasks):
            count = data.num_examples
            order = draws.generator("partition", task).permutation(count)
            for device in range(num_devices):
                mine = order[(device - dealt) % num_devices :: num_devices]
                if len(mine):
                    held[device].append(Share(task, np.sort(mine).astype(np.int64)))
            dealt += count
        return [tuple(shares) for shares in held]
