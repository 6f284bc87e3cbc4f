"""A pool: what stands behind the payloads of a run, a real model or none."""

from abc import abstractmethod

from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.learner import Learner, LearningSetting
from cosim.learning.model_pool import ModelPool
from cosim.learning.models.base import ModelSource
from cosim.plugin import Plugin
from cosim.rng import Draws


class Pool(Plugin):
    """Contract of family `pool`: what stands behind the payloads of a run."""

    @abstractmethod
    def learner(self, setting: LearningSetting) -> Learner:
        """Return the learning half of a run."""


class TrainingPool(Pool):
    """A pool that trains adapters on a real model."""

    def learner(self, setting: LearningSetting) -> Learner:
        """Load the base model and the tasks, and return the learner over them."""
        return AdapterLearner(
            setting, self.open(setting.learning.model, setting.draws.child("pool"))
        )

    @abstractmethod
    def open(self, source: ModelSource, draws: Draws = Draws(0)) -> ModelPool:  # noqa: B008
        """Load the base model and return a pool over it.

        Args:
            source: the model.
            draws: where the start of a trained head is drawn from.
        """
