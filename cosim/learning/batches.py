"""Which examples a device trains on, step after step: epochs in addressed orders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest

import numpy as np

from cosim.learning.errors import LearningError
from cosim.learning.partitions.base import Share
from cosim.learning.tasks.base import Example
from cosim.rng import Draws

Batches = tuple[tuple[Example, ...], ...]
# Characters are no tokens: the example with most tokens is among so many with most characters.
_LONGEST = 64


def longest(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return the few examples whose texts are longest."""
    return tuple(nlargest(_LONGEST, examples, key=lambda e: len(e.prompt) + len(e.answer)))


@dataclass(frozen=True)
class LocalData:
    """One device's training examples.

    Attributes:
        tasks: the tasks that they are of; of a server, which has none, all.
    """

    device: int
    tasks: frozenset[int]
    examples: tuple[Example, ...] = field(repr=False)

    @classmethod
    def of_server(cls, device: int, num_tasks: int) -> "LocalData":
        """Return what a device holds that never trains."""
        return cls(device, frozenset(range(num_tasks)), ())

    @classmethod
    def of(
        cls, device: int, shares: Sequence[Share], train: Sequence[Sequence[Example]]
    ) -> "LocalData":
        """Return what a device holds, of the tasks' training examples.

        Raises:
            LearningError: it holds nothing.
        """
        examples = tuple(train[s.task][i] for s in shares for i in s.examples.tolist())
        if not examples:
            raise LearningError(f"expected training examples for device {device}, got none")
        return cls(device, frozenset(share.task for share in shares), examples)

    def batches(self, draws: Draws, start: int, num_steps: int, batch_size: int) -> Batches:
        """Return the batches of a training that begins after `start` examples were gone through.

        Each epoch goes through all examples once, in an order addressed by (device, epoch); a batch
        may end one epoch and begin the next.
        """
        count, size = num_steps * batch_size, len(self.examples)
        epochs = range(start // size, -(-(start + count) // size))
        orders = [
            draws.generator("epoch", self.device, epoch).permutation(size) for epoch in epochs
        ]
        offset = start % size
        order = np.concatenate(orders)[offset : offset + count].tolist()
        return tuple(
            tuple(self.examples[i] for i in order[step : step + batch_size])
            for step in range(0, count, batch_size)
        )
