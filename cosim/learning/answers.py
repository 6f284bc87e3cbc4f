"""What devices answer with: judged on every task, and saved for other programs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from cosim.boundary import Evaluation
from cosim.learning.adapter import Adapter
from cosim.learning.inference.base import Codes, Inference, Question
from cosim.learning.methods.base import Cohort, DeviceState, Method
from cosim.learning.mixture import Mixture
from cosim.learning.model_pool import EvaluationJob, ModelPool, Score
from cosim.learning.tasks.base import Example

_BASE = "base"  # the fingerprint of the model without an adapter


@dataclass(frozen=True)
class Answers:
    """The questions that every device is asked, and how it answers them.

    Attributes:
        names: of the tasks.
        test: the examples of each task that devices are judged on.
        tasks_of: the tasks that each device trains on, by device.
    """

    pool: ModelPool
    method: Method
    inference: Inference
    cohort: Cohort
    names: tuple[str, ...]
    test: tuple[tuple[Example, ...], ...] = field(repr=False)
    tasks_of: Mapping[int, frozenset[int]] = field(repr=False)

    def judged(self, answerers: Sequence[tuple[DeviceState, Codes | None]]) -> list[Evaluation]:
        """Judge devices on every task, all in one batch, and those that answer alike only once.

        Before the first training all answer as the base model does, and after an average over all
        of them they have one adapter.

        Args:
            answerers: states of devices, and the codes that each knows.
        """
        jobs = [job for state, codes in answerers for job in self.jobs(state, codes)]
        asked = product([state.device for state, _ in answerers], enumerate(self.names))
        return [
            Evaluation(
                device=device,
                task=name,
                own=task in self.tasks_of[device],
                accuracy=score.accuracy,
                loss=score.loss,
            )
            for (device, (task, name)), score in zip(asked, self._scores(jobs), strict=True)
        ]

    def _scores(self, jobs: Sequence[EvaluationJob]) -> list[Score]:
        told = {id(job.adapter): _fingerprint(job.adapter) for job in jobs}
        keys = [(told[id(job.adapter)], id(job.examples)) for job in jobs]
        different = dict(zip(keys, jobs, strict=True))
        score_of = dict(zip(different, self.pool.evaluate(list(different.values())), strict=True))
        return [score_of[key] for key in keys]

    def adapter(self, state: DeviceState, codes: Codes | None) -> Adapter:
        """Return the one adapter that a device answers with; the method's, if there are more."""
        if not self.inference.asks_for_task:
            answer = self._answer(state, codes, task=0)
            if isinstance(answer, Adapter):
                return answer
        return self.method.inference(self.cohort, state)

    def save(self, state: DeviceState, codes: Codes | None, folder: Path, model: str) -> None:
        """Write `adapter` into a folder, for a base model of that name."""
        from cosim.learning import peft_io  # noqa: PLC0415  PEFT is slow to load

        peft_io.save(
            self.adapter(state, codes),
            folder,
            model,
            task_type=self.pool.task_type,
            head_start=self.pool.head_start,
        )

    def jobs(self, state: DeviceState, codes: Codes | None) -> list[EvaluationJob]:
        """Return the evaluations of one device, on every task."""
        first = self._answer(state, codes, task=0)
        jobs = [EvaluationJob(first, self.test[0])]
        for task, test in enumerate(self.test[1:], start=1):
            again = self.inference.asks_for_task
            jobs.append(EvaluationJob(self._answer(state, codes, task) if again else first, test))
        return jobs

    def _answer(self, state: DeviceState, codes: Codes | None, task: int) -> Adapter | Mixture:
        question = Question(task, self.tasks_of, codes)
        return self.inference.answering(self.method, self.cohort, state, question)


def _fingerprint(answer: Adapter | Mixture) -> object:
    """Return what answers that are the same have in common, and others do not."""
    if isinstance(answer, Mixture):
        is_base = all(_is_base(each) for each in answer.adapters)
        return _BASE if is_base else id(answer)
    if _is_base(answer):
        return _BASE
    digest = hashlib.blake2b(np.ascontiguousarray(answer.vector).data).digest()
    return answer.layout.rank, answer.scale, digest


def _is_base(adapter: Adapter) -> bool:
    """Return whether a model with this adapter is the base model, whatever its A."""
    return not adapter.vector[adapter.layout.size_a :].any()
