"""No learning: payloads of a given size with nothing in them, for studies of the network."""

import math
from collections.abc import Sequence

from cosim.boundary import Delivery, Evaluation
from cosim.learning.learner import Learner, LearningSetting
from cosim.learning.pool._nominal import NominalLearner, NominalPool


class NonePool(NominalPool):
    """Every update is `payload` large (in whole bytes), every training `flops` operations.

    `density` is what planners reckon with. Losses are nan, and nothing is evaluated.
    """

    def learner(self, setting: LearningSetting) -> Learner:
        """Return a learner that learns nothing; no model is loaded."""
        return NoLearner(self, setting)


class NoLearner(NominalLearner):
    """The sizes and times of a learner, without one."""

    def train(self, device: int) -> float:
        return math.nan

    def adopt(self, client: int, delivery: Delivery) -> None:
        """Take over nothing."""

    def store(self, device: int, deliveries: Sequence[Delivery]) -> None:
        """Keep nothing."""

    def evaluate(self, devices: Sequence[int]) -> list[Evaluation]:
        return []
