"""Each class spread over the devices by proportions from a Dirichlet law: skew by one number.

For each class c, p_c ~ Dir(alpha, ..., alpha) over the N devices, and device i gets a part p_ci of
its examples (Yurochkin et al., ICML 2019; Li et al., ICDE 2022). A part is Beta(alpha,
(N - 1) alpha) distributed: mean 1/N, variance (N - 1) / (N^2 (N alpha + 1)). Small alpha gives
each device few classes, large alpha gives all the same mix.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from cosim.learning.errors import LearningError
from cosim.learning.partitions._classes import By, Numbers, as_shares, classes
from cosim.learning.partitions.base import Partition, Share, TaskData
from cosim.rng import Draws


class Dirichlet(Partition):
    """Examples of each label (or of each task, with `by: task`) spread by drawn proportions.

    Parts are rounded so that every example is on one device. A device that is left with fewer than
    `min_examples` takes what it lacks, one at a time, from whichever device has most at that
    moment; this changes the law as little as can be where small alpha and many devices leave some
    with nothing.
    """

    alpha: Annotated[float, Field(ge=1e-3, le=1e6)] = 0.5
    by: By = "label"
    min_examples: PositiveInt = 1

    def shares(
        self, draws: Draws, tasks: Sequence[TaskData], num_devices: int
    ) -> list[tuple[Share, ...]]:
        """Divide every class, then give to those who have too few.

        Raises:
            LearningError: there are fewer examples than all need, or a task has no labels.
        """
        total = sum(task.num_examples for task in tasks)
        if total < num_devices * self.min_examples:
            raise LearningError(
                f"partition dirichlet: expected at least {num_devices * self.min_examples} "
                f"training examples, {self.min_examples} for each of {num_devices} devices, got "
                f"{total}; take fewer devices, more examples or a lower min_examples"
            )
        hands: list[list[int]] = [[] for _ in range(num_devices)]
        for number, examples in enumerate(classes(tasks, self.by)):
            for hand, part in zip(
                hands, self._parts(draws, number, examples, num_devices), strict=True
            ):
                hand.extend(part.tolist())
        self._top_up(draws, hands)
        return as_shares([np.array(hand, dtype=np.int64) for hand in hands], tasks)

    def _parts(
        self, draws: Draws, number: int, examples: Numbers, num_devices: int
    ) -> list[Numbers]:
        proportions = draws.generator("dirichlet", number).dirichlet(
            np.full(num_devices, self.alpha)
        )
        order = draws.generator("dirichlet/order", number).permutation(examples)
        cuts = np.rint(np.cumsum(proportions)[:-1] * len(examples)).astype(np.int64)
        return np.split(order, cuts)

    def _top_up(self, draws: Draws, hands: list[list[int]]) -> None:
        for device, hand in enumerate(hands):
            rng = draws.generator("dirichlet/top_up", device)
            while len(hand) < self.min_examples:
                fullest = max(hands, key=len)
                hand.append(fullest.pop(int(rng.random() * len(fullest))))
