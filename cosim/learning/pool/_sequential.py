"""The running pool of kind `sequential`."""

from collections.abc import Sequence

from cosim.learning.adapter import Site
from cosim.learning.model_pool import EvaluationJob, ModelPool, Score, TrainingJob, TrainingResult
from cosim.learning.pool._check import check_layouts
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._peft import judge_one, train_one
from cosim.learning.tasks.base import Example


class SequentialModelPool(ModelPool):
    """The running pool of kind `sequential`."""

    def __init__(self, model: FrozenModel) -> None:
        self._model = model

    @property
    def sites(self) -> tuple[Site, ...]:
        return self._model.sites

    @property
    def num_parameters(self) -> int:
        return self._model.num_parameters

    def num_tokens(self, batches: Sequence[Sequence[Example]]) -> int:
        return self._model.tokens.count(batches)

    def train(self, jobs: Sequence[TrainingJob]) -> list[TrainingResult]:
        check_layouts(self.sites, [job.adapter for job in jobs])
        with self._model.running():
            return [train_one(self._model, job) for job in jobs]

    def evaluate(self, jobs: Sequence[EvaluationJob]) -> list[Score]:
        check_layouts(self.sites, [job.adapter for job in jobs])
        with self._model.running():
            return [judge_one(self._model, job) for job in jobs]
