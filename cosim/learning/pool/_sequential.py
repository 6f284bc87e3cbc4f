"""The running pool of kind `sequential`."""

from collections.abc import Sequence

from cosim.learning.adapter import Adapter
from cosim.learning.errors import LearningError
from cosim.learning.model_pool import EvaluationJob, Score, TrainingJob, TrainingResult
from cosim.learning.pool._check import check_layouts
from cosim.learning.pool._frozen_pool import FrozenModelPool
from cosim.learning.pool._peft import judge_one, train_one


class SequentialModelPool(FrozenModelPool):
    """The running pool of kind `sequential`."""

    def train(self, jobs: Sequence[TrainingJob]) -> list[TrainingResult]:
        check_layouts(self.sites, self.head, [job.adapter for job in jobs])
        with self._model.running():
            return [train_one(self._model, job) for job in jobs]

    def evaluate(self, jobs: Sequence[EvaluationJob]) -> list[Score]:
        adapters = [job.adapter for job in jobs if isinstance(job.adapter, Adapter)]
        if len(adapters) < len(jobs):
            raise LearningError(
                "pool: expected adapters, got a mixture of some, which PEFT cannot run; use "
                "kind: stacked"
            )
        check_layouts(self.sites, self.head, adapters)
        with self._model.running():
            return [
                judge_one(self._model, adapter, job.examples)
                for adapter, job in zip(adapters, jobs, strict=True)
            ]
