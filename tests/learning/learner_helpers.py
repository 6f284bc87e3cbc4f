"""A learner on a pool of arithmetic instead of a model: fast, and every number can be foretold."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from cosim.boundary import Delivery
from cosim.learning.adapter import Site
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.learner import LearningSetting
from cosim.learning.model_pool import ModelPool, Score, TrainingResult
from cosim.learning.models.base import ModelSource
from cosim.learning.partitions.base import Partition, Share
from cosim.learning.pool.none import NonePool
from cosim.learning.tasks.base import Example, Task
from cosim.rng import Draws
from cosim.scenario.local import Local
from cosim.scenario.tree import Learning, PayloadCoding, Tasks

SEGMENT = 70  # packets of a few coordinates each
SITES = (Site("layers.0", 32, 24), Site("layers.1", 24, 40))


class NoSource(ModelSource):
    source: str = "builtin:none"

    def load(self):
        raise AssertionError("the fake pool loads no model")


class FakeTask(Task):
    group: ClassVar[str] = "language"
    word: str = "a"

    def examples(self, split, data_root):
        count = 30 if split == "train" else 8
        choices = (" yes", " no")
        return tuple(Example(f"{self.word}-{split}-{i}", " yes", choices) for i in range(count))


class ByTask(Partition):
    """Device i holds the first ten examples of task i mod T."""

    def shares(self, draws, num_examples, num_devices):
        tasks = len(num_examples)
        return [(Share(device % tasks, np.arange(10)),) for device in range(num_devices)]


class FakePool(ModelPool):
    """Trainable coordinates move by a number drawn from (device, round); accuracy is the rank."""

    def __init__(self):
        self.trained = []
        self.evaluated = []
        self.losses = {}
        self.spoil = set()

    @property
    def sites(self):
        return SITES

    @property
    def head(self):
        return None

    head_start = None
    task_type = "CAUSAL_LM"

    @property
    def num_parameters(self):
        return 1000

    def mean_inputs(self, examples):
        return [np.full(site.d_in, len(examples), np.float32) for site in SITES]

    def input_spectra(self, examples):
        return [np.ones(site.d_in) for site in SITES]

    def num_tokens(self, batches):
        return sum(len(example.prompt) for batch in batches for example in batch)

    def train(self, jobs):
        self.trained.append(list(jobs))
        return [self._train(job) for job in jobs]

    def _train(self, job):
        moves = np.random.default_rng([job.device, job.round]).standard_normal(len(job.trainable))
        vector = job.adapter.vector + np.where(job.trainable, moves, 0).astype(np.float32)
        if job.device in self.spoil:
            vector[-1] = np.inf
        losses = self.losses.get(job.device, [2.0 / (i + 1) for i in range(len(job.batches))])
        state = job.optimiser and replace(
            job.optimiser, num_steps=job.optimiser.num_steps + len(job.batches)
        )
        return TrainingResult(vector, tuple(losses), state)

    def evaluate(self, jobs):
        self.evaluated.append(list(jobs))
        return [Score(job.adapter.layout.rank / 100, float(len(job.examples))) for job in jobs]


def setting(method, num_devices=3, dtype="float32", segment_bytes=SEGMENT, tasks=None, **local):
    learning = Learning(
        model=NoSource(),
        tasks=Tasks(use=tasks or (FakeTask(), FakeTask(word="b")), partition=ByTask()),
        method=method,
        local=Local(**({"steps": 3, "batch": 4} | local)),
        payload=PayloadCoding(dtype=dtype),
        pool=NonePool(),
    )
    return LearningSetting(
        learning=learning,
        num_devices=num_devices,
        local=(learning.local,) * num_devices,
        draws=Draws(5),
        data_root=Path("nowhere"),
        segment_bytes=segment_bytes,
        test_examples=5,
    )


def learner(method, **keys):
    pool = FakePool()
    return AdapterLearner(setting(method, **keys), pool), pool


def train(learner, devices, round):
    for device in devices:
        learner.begin_training(device, round)
    return [learner.end_training(device) for device in devices]


def delivered(payload, lost=()):
    """The delivery of a payload, less the packets in `lost`."""
    arrived = ~np.isin(np.arange(payload.num_packets), lost)
    outcome = "delivered" if arrived.all() else "partial"
    return Delivery(payload, 0.0, 1.0, outcome, arrived)


def answer_of(learner, device):
    """Return the one adapter that a device answers with."""
    return learner._answers.adapter(*learner._answerer(device))
