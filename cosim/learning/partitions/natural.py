"""Examples as they belong together in the data: by author, by user, by source (as in LEAF)."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.learning.errors import LearningError
from cosim.learning.partitions._classes import as_shares
from cosim.learning.partitions.base import Partition, Share, TaskData
from cosim.rng import Draws


class Natural(Partition):
    """All examples with the same value of `key` are on one device.

    `key` is a key of the rows of the tasks' files, such as `author`; the same value in two tasks is
    the same author. Values are dealt round the devices in drawn order, so that each has one author,
    or several if there are more of them than devices.
    """

    key: Annotated[str, Field(min_length=1)]

    def shares(
        self, draws: Draws, tasks: Sequence[TaskData], num_devices: int
    ) -> list[tuple[Share, ...]]:
        """Gather the examples of each value and deal them.

        Raises:
            LearningError: there are fewer values than devices, or a task's rows have no such key.
        """
        groups: dict[str, list[int]] = {}
        first = 0
        for task in tasks:
            for number, value in enumerate(task.keys(self.key), first):
                groups.setdefault(value, []).append(number)
            first += task.num_examples
        if len(groups) < num_devices:
            raise LearningError(
                f"partition natural: expected at least {num_devices} values of {self.key!r}, one "
                f"for each device, got {len(groups)}; take fewer devices or another key"
            )
        values = sorted(groups)
        order = draws.generator("natural").permutation(len(values)).tolist()
        hands = [
            np.array([n for place in order[device::num_devices] for n in groups[values[place]]])
            for device in range(num_devices)
        ]
        return as_shares(hands, tasks)
