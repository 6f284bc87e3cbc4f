"""A partition: which device trains on which examples of which task."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.plugin import Plugin
from cosim.rng import Draws


@dataclass(frozen=True)
class Share:
    """Examples of one task that one device holds: indices into the task's train split, [n]."""

    task: int
    examples: NDArray[np.int64] = field(repr=False)


class Partition(Plugin):
    """Contract of family `partition`."""

    @abstractmethod
    def shares(
        self, draws: Draws, num_examples: Sequence[int], num_devices: int
    ) -> list[tuple[Share, ...]]:
        """Return what each device holds, in device order; every device holds something.

        Args:
            draws: random numbers of the partition.
            num_examples: training examples of each task.
            num_devices: number of devices.
        """
