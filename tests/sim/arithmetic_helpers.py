"""Whole runs with real adapters and payloads and no model: trainings move them by known numbers."""

import numpy as np
from pydantic import PrivateAttr

from cosim.learning.adapter import Site
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.model_pool import ModelPool, Score, TrainingResult
from cosim.learning.pool.base import Pool


def movement(device, round, size):
    """By how much a device's training of a round moves its adapter."""
    return np.random.default_rng([device, round]).standard_normal(size).astype(np.float32)


class Moving(ModelPool):
    """Trainings move everything that they may by `movement`, up to the last round of moves."""

    sites = (Site("layer", 6, 4),)
    head = None
    num_parameters = 6_000_000  # 80 examples take 2 s at 1 GFLOP/s

    def __init__(self, last_round):
        self.last_round = last_round

    def num_tokens(self, batches):
        return sum(map(len, batches))

    def mean_inputs(self, examples):
        return [np.zeros(site.d_in, np.float32) for site in self.sites]

    def train(self, jobs):
        return [self._train(job) for job in jobs]

    def _train(self, job):
        moved = movement(job.device, job.round, len(job.trainable))
        if job.round > self.last_round:
            moved[:] = 0
        vector = job.adapter.vector + np.where(job.trainable, moved, np.float32(0))
        return TrainingResult(vector, tuple(1.0 for _ in job.batches))

    def evaluate(self, jobs):
        return [Score(0.5, 1.0) for _ in jobs]


class _Kept(AdapterLearner):
    """Keeps the states that devices begin and end with, and writes nothing."""

    def __init__(self, setting, pool, ends):
        super().__init__(setting, pool)
        self._ends = ends
        self._ends.append(list(self._states))

    def save(self, folder):
        self._ends.append(list(self._states))


class Arithmetic(Pool):
    """Real adapters on `Moving`; tells what the devices of the newest run began and ended with."""

    last_round: int = 1_000_000
    _ends: list = PrivateAttr(default_factory=list)

    def learner(self, setting):
        return _Kept(setting, Moving(self.last_round), self._ends)

    def vectors(self):
        """The adapters at the start and at the end, [N, n] each."""
        start, end = ([state.vector for state in states] for states in self._ends[-2:])
        return np.stack(start).astype(np.float64), np.stack(end).astype(np.float64)

    def known(self):
        """Of each device, by members, the adapters of others that it has at the end."""
        return [state.known for state in self._ends[-1]]


def adapters(pool):
    """The section `learning` of a run with these adapters, sent exactly."""
    return {
        "pool": pool,
        "method": {"kind": "lora", "rank": 2},
        "payload": {"dtype": "float32"},
    }
