"""What each device's next local training is: its batches, steps and optimiser, and how much work.

Work is that of forward and backward through N frozen parameters and the trained ones of the
adapter: 4N per token (no weight gradients for the base) and 6 for each trained coordinate; with
`payload.scale_as` those of the named architecture.
"""

import math
from collections.abc import Sequence

import numpy as np

from cosim.learning.adapter import Adapter, Layout, Mask
from cosim.learning.batches import Batches, LocalData
from cosim.learning.errors import LearningError
from cosim.learning.freezing import Frozen
from cosim.learning.learner import LearningSetting
from cosim.learning.methods.base import Cohort, DeviceState, Method
from cosim.learning.model_pool import (
    ModelPool,
    Optimisation,
    OptimiserState,
    TrainingJob,
    TrainingResult,
)
from cosim.learning.payload.packing import Packing
from cosim.world.compute.base import Work


class Trainings:
    """What trainings of all devices are made of, and what of one goes on in the next.

    Args:
        setting: what the scenario asks for.
        pool: where they run.
        packing: how many coordinates trained ones stand for.
        cohort: what the devices have in common.
        data: each device's examples.
    """

    def __init__(
        self,
        setting: LearningSetting,
        pool: ModelPool,
        packing: Packing,
        cohort: Cohort,
        data: Sequence[LocalData],
    ) -> None:
        self._setting, self._pool, self._packing = setting, pool, packing
        self._cohort, self._data = cohort, data
        names = {local.freeze for local in setting.local}
        self._frozen = {each: Frozen.of(cohort.layout, each) for each in names}
        self._num_seen = [0] * setting.num_devices  # examples gone through, for the order of epochs
        self._num_steps = [0] * setting.num_devices  # steps made, for the learning rate
        self._optimisers: dict[int, OptimiserState] = {}  # of devices that keep theirs
        self._last_loss: dict[int, float] = {}

    def next(self, method: Method, state: DeviceState, round: int) -> TrainingJob:
        """Return a device's next training."""
        device, local = state.device, self._setting.local[state.device]
        steps = method.steps(state, local.steps)
        adapter, trainable = self.training(method, state)
        return TrainingJob(
            device=device,
            round=round,
            adapter=adapter,
            trainable=trainable,
            batches=self._batches(device, steps),
            optimisation=Optimisation(
                local.optimizer, local.lr, local.weight_decay, local.clip, local.momentum
            ),
            penalty=method.penalty(),
            lr_factors=local.schedule.factors(self._num_steps[device], steps),
            optimiser=self._optimiser(method, state, adapter.layout),
        )

    def training(self, method: Method, state: DeviceState) -> tuple[Adapter, Mask]:
        """Return what a device's next training starts from, and what it may move."""
        adapter, trainable = method.training(self._cohort, state)
        freeze = self._setting.local[state.device].freeze
        return adapter, self._frozen[freeze].unfrozen(adapter.layout, trainable)

    def ended(self, job: TrainingJob, result: TrainingResult) -> None:
        """Take in that a training has ended.

        Raises:
            LearningError: a loss or the adapter is not finite.
        """
        self._check_finite(job, result)
        self._last_loss[job.device] = result.losses[-1]
        self._num_seen[job.device] += sum(map(len, job.batches))
        self._num_steps[job.device] += len(job.batches)
        if result.optimiser is not None:
            self._optimisers[job.device] = result.optimiser

    def work(self, job: TrainingJob) -> Work:
        """Return the work of a training."""
        return self._work(job.device, job.batches, job.adapter.layout, job.trainable)

    def work_range(self, method: Method, state: DeviceState) -> tuple[Work, Work]:
        """Return the work of trainings at density 1, and of trainings of nothing but the head.

        They are the same where a training does not go by the density, or it is settled. Where the
        next one settles it, they are of those that come after.
        """
        if not method.settles_density or state.trainings:
            work = self.work(self.next(method, state, 0))
            return work, work
        adapter, whole = self.training(method, state)
        least = whole.copy()
        least[: adapter.layout.part_b.stop] = False
        batches = self._batches(state.device, self._setting.local[state.device].steps)
        full, none = (
            self._work(state.device, batches, adapter.layout, each) for each in (whole, least)
        )
        return full, none

    def _work(self, device: int, batches: Batches, layout: Layout, trainable: Mask) -> Work:
        trained = self._packing.num_trained(layout, np.flatnonzero(trainable))
        per_token = 4.0 * self._packing.num_frozen(self._pool) + 6.0 * trained
        return Work(
            flops=self._pool.num_tokens(batches) * per_token,
            num_parameters=trained,
            num_samples=sum(map(len, batches)),
            batch_size=self._setting.local[device].batch,
        )

    def _batches(self, device: int, steps: int) -> Batches:
        return self._data[device].batches(
            self._setting.draws, self._num_seen[device], steps, self._setting.local[device].batch
        )

    def _optimiser(
        self, method: Method, state: DeviceState, layout: Layout
    ) -> OptimiserState | None:
        """Return where the device's optimiser goes on from; None if nobody will ask for its end."""
        local = self._setting.local[state.device]
        if local.optimizer_state == "reset":
            return None
        kept = self._optimisers.get(state.device)
        if method.starts_anew(state) or kept is None or len(kept.mean) != layout.size:
            return OptimiserState.fresh(local.optimizer, layout.size)
        return kept

    def _check_finite(self, job: TrainingJob, result: TrainingResult) -> None:
        last = self._last_loss.get(job.device)
        found = None
        for step, loss in enumerate(result.losses, start=1):
            if not math.isfinite(loss):
                found = f"the loss of step {step} is {loss}"
                break
            last = loss
        if found is None and not np.isfinite(result.vector).all():
            found = f"the adapter is not finite after step {len(result.losses)}"
        if found is not None:
            known = (
                "there was no finite loss before"
                if last is None
                else f"the last finite loss was {last:.6g}"
            )
            raise LearningError(
                f"device {job.device}, round {job.round}: {found}; {known}; lower "
                f"learning.local.lr, learning.local.clip or learning.method.scale"
            )
