"""Examples sorted by label and cut into shards, a few for each device (McMahan et al., 2017)."""

from collections.abc import Sequence

import numpy as np
from pydantic import PositiveInt

from cosim.learning.errors import LearningError
from cosim.learning.partitions._classes import By, as_shares, classes
from cosim.learning.partitions.base import Partition, Share, TaskData
from cosim.rng import Draws


class Shards(Partition):
    """Each device gets `per_device` shards, drawn; most hold examples of one label only.

    All examples, in the order of task and label (or of task alone, with `by: task`) and at random
    within, are cut into `per_device` times the number of devices shards whose sizes differ by one
    at most.
    """

    per_device: PositiveInt = 2
    by: By = "label"

    def shares(
        self, draws: Draws, tasks: Sequence[TaskData], num_devices: int
    ) -> list[tuple[Share, ...]]:
        """Sort, cut and deal.

        Raises:
            LearningError: there are fewer examples than shards, or a task has no labels.
        """
        num_shards = num_devices * self.per_device
        total = sum(task.num_examples for task in tasks)
        if total < num_shards:
            raise LearningError(
                f"partition shards: expected at least {num_shards} training examples, one for each "
                f"shard, got {total}; take fewer devices, more examples or a lower per_device"
            )
        ordered = np.concatenate(
            [
                draws.generator("shards/order", number).permutation(examples)
                for number, examples in enumerate(classes(tasks, self.by))
            ]
        )
        shards = np.array_split(ordered, num_shards)
        dealt = draws.generator("shards").permutation(num_shards).reshape(num_devices, -1)
        hands = [np.concatenate([shards[shard] for shard in mine]) for mine in dealt.tolist()]
        return as_shares(hands, tasks)
