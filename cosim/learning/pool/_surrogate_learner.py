"""The learner of pool `surrogate`; its formulas are in `cosim.learning.pool.surrogate`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.boundary import Delivery, Evaluation
from cosim.collision import collision_rate
from cosim.learning.curve import Curve
from cosim.learning.division import divide
from cosim.learning.learner import LearningSetting
from cosim.learning.pool._nominal import NominalLearner, NominalPool, arrived_bytes
from cosim.rng import Draws
from cosim.world.compute.base import Work

Numbers = NDArray[np.float64]
Origins = NDArray[np.int32]
Examples = NDArray[np.float32]

_BYTES = 8  # of one origin and its examples


@dataclass(frozen=True)
class Formula:
    """The numbers of the formulas, by the names that they have there."""

    accuracy: Curve
    loss: Curve
    transfer: float
    related: float
    interference: float


class SurrogateLearner(NominalLearner):
    """Counts what every device knows of what every other has trained on.

    Bodies of payloads hold what the sender knew; they take no time on the air, and are not cut
    into packets: of a payload of which a part arrived, that part of everything did.

    Args:
        pool: the sizes of payloads and trainings, and the density of masks.
        formula: how devices learn.
        setting: what the scenario asks for.
    """

    def __init__(self, pool: NominalPool, formula: Formula, setting: LearningSetting) -> None:
        super().__init__(pool, setting)
        self._formula = formula
        self._draws: Draws = setting.draws
        self._steps = [local.steps for local in setting.local]
        n = setting.num_devices
        division = divide(
            setting.learning.tasks, setting.data_root, setting.draws, n, setting.servers
        )
        self._names = tuple(task.name for task in division.data)
        self._share = np.zeros((n, len(self._names)))  # s_o[t]
        for device, shares in enumerate(division.shares):
            for share in shares:
                self._share[device, share.task] += len(share.examples)
        self._num_examples = self._share.sum(axis=1).astype(np.int64)
        self._share /= np.maximum(self._num_examples, 1)[:, np.newaxis]
        self._own = self._share > 0  # [N, T]; every task is a server's
        self._own[sorted(setting.servers)] = True

        self._merged: Examples = np.zeros((n, n), dtype=np.float32)  # K_i[o] of the adapter
        self._kept: Examples = np.zeros((n, n), dtype=np.float32)  # of other clusters' updates
        self._trainings = [0] * n
        self._begun: dict[int, Numbers] = {}  # effective examples when a training began, [T]
        self._content: dict[int, bytes] = {}  # of devices that have not changed since

    # Training

    def begin_training(self, device: int, round: int) -> Work:
        self._begun[device] = self.effective(device)
        return super().begin_training(device, round)

    def drop_training(self, device: int) -> None:
        super().drop_training(device)
        self._begun.pop(device, None)

    def train(self, device: int) -> float:
        """Add the training's examples; the loss is the mean over its steps, as each began."""
        share, steps = self._share[device], self._steps[device]
        num_samples = self.num_samples[device]
        per_step = num_samples / steps * (share + self._formula.related * (1 - share))
        known = self._begun.pop(device) + np.arange(steps)[:, None] * per_step  # [steps, T]
        loss = self._formula.loss.value(known) @ share
        self._merged[device, device] += num_samples
        self._trainings[device] += 1
        self._content.pop(device, None)
        return float(loss.mean())

    # What is sent, and what arrives

    def content(self, device: int) -> bytes:
        if device not in self._content:
            origins = np.flatnonzero(self._merged[device]).astype(np.int32)
            self._content[device] = _pack(origins, self._merged[device])
        return self._content[device]

    def passed_on(self, device: int, received: Sequence[Delivery]) -> bytes:
        """Return what the device now knows of whom it has just received something."""
        origins = [_unpack(delivery.payload.body)[0] for delivery in received]
        if not origins:
            return b""
        return _pack(np.unique(np.concatenate(origins)), self._kept[device])

    def merge(self, device: int, deliveries: Sequence[Delivery], weights: Sequence[float]) -> None:
        super().merge(device, deliveries, weights)
        own_weight = 1.0 - math.fsum(weights)
        arrived = [
            (delivery, weight, part)
            for delivery, weight in zip(deliveries, weights, strict=True)
            if weight > 0 and (part := _arrived_part(delivery)) > 0
        ]
        if not arrived:
            return
        merged_devices = [delivery.payload.src for delivery, _, _ in arrived]
        if device not in self._servers:  # a server has no mask of its own
            merged_devices.append(device)
        rate = collision_rate([self.density(each) for each in merged_devices])
        left = 1.0 - self._formula.interference * rate
        merged = self._merged[device]
        before = merged.copy()
        for delivery, weight, part in arrived:
            origins, known = _unpack(delivery.payload.body)
            gain = part * (1.0 if weight >= own_weight else weight / own_weight)
            had = before[origins]
            has = had + gain * np.maximum(left * known - had, 0.0)
            merged[origins] = np.maximum(merged[origins], has)
        self._content.pop(device, None)

    def adopt(self, client: int, delivery: Delivery) -> None:
        origins, known = _unpack(delivery.payload.body)
        merged = self._merged[client]
        better = np.maximum(known - merged[origins], 0.0)
        merged[origins] += _arrived_part(delivery) * better
        self._content.pop(client, None)

    def num_examples(self, device: int) -> int:
        return int(self._num_examples[device])

    def store(self, device: int, deliveries: Sequence[Delivery]) -> None:
        kept = self._kept[device]
        for delivery in deliveries:
            origins, known = _unpack(delivery.payload.body)
            kept[origins] = np.maximum(kept[origins], _arrived_part(delivery) * known)

    # What it comes to

    def effective(self, device: int) -> Numbers:
        """Return n_i[t], the effective examples of every task, [T]."""
        known = np.maximum(self._merged[device], self._kept[device])
        origins = np.flatnonzero(known)
        counted = known[origins] * np.where(origins == device, 1.0, self._formula.transfer)
        on_task = counted @ self._share[origins]
        examples: Numbers = on_task + self._formula.related * (counted.sum() - on_task)
        return examples

    def evaluate(self, devices: Sequence[int]) -> list[Evaluation]:
        found: list[Evaluation] = []
        for device in devices:
            examples = self.effective(device)
            accuracy = self._scores("accuracy", self._formula.accuracy, device, examples, 1.0)
            loss = self._scores("loss", self._formula.loss, device, examples, math.inf)
            rows = zip(
                self._names,
                self._own[device].tolist(),
                accuracy.tolist(),
                loss.tolist(),
                strict=True,
            )
            found.extend(Evaluation(device, *row) for row in rows)
        return found

    def _scores(
        self, name: str, curve: Curve, device: int, examples: Numbers, most: float
    ) -> Numbers:
        scores = curve.value(examples)
        if curve.noise > 0:
            tasks = np.arange(len(examples))
            drawn = self._draws.uniform(f"surrogate_{name}", device, tasks, self._trainings[device])
            # Uniform over a width of sqrt(12) deviations.
            scores = np.clip(scores + curve.noise * math.sqrt(12) * (drawn - 0.5), 0.0, most)
        return scores


def _pack(origins: Origins, examples: Examples) -> bytes:
    return origins.astype("<i4").tobytes() + examples[origins].astype("<f4").tobytes()


def _unpack(body: bytes) -> tuple[Origins, Examples]:
    count = len(body) // _BYTES
    origins: Origins = np.frombuffer(body, dtype="<i4", count=count)
    return origins, np.frombuffer(body, dtype="<f4", offset=4 * count)


def _arrived_part(delivery: Delivery) -> float:
    """Return what part of the payload's bytes arrived, 0 to 1."""
    if delivery.arrived.all():
        return 1.0
    return arrived_bytes(delivery) / delivery.payload.num_bytes
