"""The running pool of kind `stacked`."""

from collections.abc import Sequence
from typing import Literal

from cosim.learning.errors import LearningError
from cosim.learning.mixture import Mixture
from cosim.learning.model_pool import EvaluationJob, Score, TrainingJob, TrainingResult
from cosim.learning.pool._check import check_layouts
from cosim.learning.pool._compiled import CompiledBlocks
from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._frozen_pool import FrozenModelPool
from cosim.learning.pool._memory import Limits, explained, plan, training_sizes
from cosim.learning.pool._scoring import evaluate
from cosim.learning.pool._training import train

_OPTIMIZERS: tuple[Literal["adamw", "sgd"], ...] = ("adamw", "sgd")


class StackedModelPool(FrozenModelPool):
    """The running pool of kind `stacked`."""

    def __init__(self, model: FrozenModel, limits: Limits, compiles: bool = False) -> None:
        """Take a model, how much runs at once, and whether its blocks are compiled.

        Raises:
            LearningError: blocks are to run again or to be compiled, and there are none; or nothing
                can be compiled here.
        """
        super().__init__(model)
        self._limits = limits
        for key, is_set in (("checkpointing", limits.checkpointing), ("compile", compiles)):
            if is_set and not model.blocks:
                raise LearningError(
                    f"learning.pool.{key}: expected a model whose adapted layers are in a list of "
                    "blocks, got none such; set it to false"
                )
        self._compiled = (
            CompiledBlocks(model.linears, model.blocks, model.device) if compiles else None
        )

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
                trained = self._trained([jobs[i] for i in mine], optimizer) if mine else []
                results |= zip(mine, trained, strict=True)
        return [results[i] for i in range(len(jobs))]

    def _trained(
        self, jobs: Sequence[TrainingJob], optimizer: Literal["adamw", "sgd"]
    ) -> list[TrainingResult]:
        """Train devices of one optimiser, as many together as memory allows."""
        limits = self._limits
        lower = (
            "lower learning.pool.max_tokens, learning.local.batch or learning.method.rank, or set "
            "learning.pool.memory"
        )
        if not limits.checkpointing:
            lower += " or learning.pool.checkpointing: true"
        results: list[TrainingResult] = []
        with explained(training_sizes(self._model, jobs, limits), lower):
            planned = plan(self._model, jobs, limits)
            for start in range(0, len(jobs), planned.num_devices):
                group = jobs[start : start + planned.num_devices]
                results += train(
                    self._model,
                    group,
                    optimizer,
                    planned.max_tokens,
                    limits.checkpointing,
                    self._compiled,
                )
        return results

    def evaluate(self, jobs: Sequence[EvaluationJob]) -> list[Score]:
        for asked in (job.adapter for job in jobs):
            adapters = asked.adapters if isinstance(asked, Mixture) else (asked,)
            check_layouts(self.sites, self.head, adapters)
        doing = f"judging {len(jobs)} times, {self._limits.max_tokens} tokens at once"
        with self._model.running(), explained(doing, "lower learning.pool.max_tokens"):
            return evaluate(self._model, jobs, self._limits.max_tokens)
