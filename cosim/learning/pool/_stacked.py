"""The running pool of kind `stacked`."""

from collections.abc import Sequence
from typing import Literal

from cosim.learning.mixture import Mixture
from cosim.learning.model_pool import EvaluationJob, Score, TrainingJob, TrainingResult
from cosim.learning.pool._check import check_layouts
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._frozen_pool import FrozenModelPool
from cosim.learning.pool._scoring import evaluate
from cosim.learning.pool._training import train

_OPTIMIZERS: tuple[Literal["adamw", "sgd"], ...] = ("adamw", "sgd")


class StackedModelPool(FrozenModelPool):
    """The running pool of kind `stacked`."""

    def __init__(self, model: FrozenModel, max_tokens: int) -> None:
        super().__init__(model)
        self._max_tokens = max_tokens

    def train(self, jobs: Sequence[TrainingJob]) -> list[TrainingResult]:
        check_layouts(self.sites, self.head, [job.adapter for job in jobs])
        # Jobs that end first come last, so those that still run are always the first ones. The
        # order does not depend on the caller's, so neither do the bits.
        order = sorted(
            range(len(jobs)),
            key=lambda i: (-len(jobs[i].batches), jobs[i].device, jobs[i].round),
        )
        results: dict[int, TrainingResult] = {}
        with self._model.running():
            for optimizer in _OPTIMIZERS:
                mine = [i for i in order if jobs[i].optimisation.optimizer == optimizer]
                if mine:
                    trained = train(
                        self._model, [jobs[i] for i in mine], optimizer, self._max_tokens
                    )
                    results |= zip(mine, trained, strict=True)
        return [results[i] for i in range(len(jobs))]

    def evaluate(self, jobs: Sequence[EvaluationJob]) -> list[Score]:
        for asked in (job.adapter for job in jobs):
            adapters = asked.adapters if isinstance(asked, Mixture) else (asked,)
            check_layouts(self.sites, self.head, adapters)
        with self._model.running():
            return evaluate(self._model, jobs, self._max_tokens)
