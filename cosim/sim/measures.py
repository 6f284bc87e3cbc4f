"""The rows of the tables `measures` and `layers`: what an evaluation says beside scores."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.boundary import Evaluation
from cosim.learning.learner import Learner
from cosim.learning.measuring import Measures
from cosim.planning.view import Plan

_OF_ADAPTERS = (
    "product_collision",
    "orthogonality",
    "num_merged",
    "aggregation_gap",
    "covariance_term",
    "kept_cosine",
    "kept_fraction",
)


class MeasureBooks:
    """What is summed up between two evaluations.

    Attributes:
        flops: of the trainings that each device has ended since the last one, [num_devices].
        bits_sent: on the air, of the transfers that have ended since then, by who sent it.
    """

    def __init__(self, num_devices: int) -> None:
        self.flops = np.zeros(num_devices)
        self.bits_sent = np.zeros(num_devices)
        self._best: dict[tuple[int, str], float] = {}  # accuracy by device and task

    def take(
        self,
        learner: Learner,
        devices: Sequence[int],
        plan: Plan | None,
        scores: Sequence[Evaluation],
    ) -> dict[str, dict[str, Any]]:
        """Return the columns of each table, but for round and time, and begin to sum up anew.

        Args:
            learner: measures the adapters.
            devices: that were judged.
            plan: in force; None before the first, where every device is a cluster of its own.
            scores: of the devices.
        """
        groups = _groups(devices, plan)
        measured = learner.measure([members for _, members in groups])
        rates = [learner.overlap(members) if len(members) > 1 else 0.0 for _, members in groups]
        place = {device: i for i, (_, members) in enumerate(groups) for device in members}
        cluster = np.array([groups[place[device]][0] for device in devices], dtype=np.int64)
        of_devices = [measured.get(device, _NOTHING) for device in devices]
        forgotten = self._forgetting(scores)
        at = np.array(devices, dtype=np.int64)
        predicted = np.zeros(1) if plan is None else np.append(plan.collision_rate, 0.0)
        tables = {
            "measures": {
                "device": at,
                "cluster": cluster,
                "num_devices": np.array([len(groups[place[each]][1]) for each in devices]),
                "collision_predicted": predicted[cluster],
                "collision_rate": np.array([rates[place[each]] for each in devices]),
                "forgetting": np.array([forgotten.get(each, math.nan) for each in devices]),
                "flops": self.flops[at],
                "bits_sent": self.bits_sent[at],
            }
            | {name: np.array([getattr(m, name) for m in of_devices]) for name in _OF_ADAPTERS},
            "layers": _layers(devices, of_devices),
        }
        self.flops[at] = self.bits_sent[at] = 0.0
        return tables

    def _forgetting(self, scores: Sequence[Evaluation]) -> dict[int, float]:
        """Return how far each device's accuracy is below its best so far, the mean over tasks."""
        below: dict[int, list[float]] = {}
        for score in scores:
            key = score.device, score.task
            best = self._best[key] = max(self._best.get(key, 0.0), score.accuracy)
            below.setdefault(score.device, []).append(best - score.accuracy)
        return {device: math.fsum(each) / len(each) for device, each in below.items()}


_NOTHING = Measures()


def _groups(devices: Sequence[int], plan: Plan | None) -> list[tuple[int, list[int]]]:
    """Return clusters with those of their members that are judged; who is in none is alone."""
    if plan is None:
        return [(-1, [device]) for device in devices]
    members: dict[int, list[int]] = {}
    for device in devices:
        members.setdefault(int(plan.cluster[device]), []).append(device)
    alone = [(-1, [device]) for device in members.pop(-1, [])]
    return [*sorted(members.items()), *alone]


def _layers(devices: Sequence[int], measured: Sequence[Measures]) -> dict[str, Any]:
    pairs = [(d, m.layers) for d, m in zip(devices, measured, strict=True) if m.layers is not None]
    columns: dict[str, Any] = {
        "device": [device for device, layers in pairs for _ in layers.names],
        "layer": [name for _, layers in pairs for name in layers.names],
    }
    for name in ("trained_a", "trained_b", "sent_a", "sent_b"):
        parts = [getattr(layers, name) for _, layers in pairs]
        columns[name] = np.concatenate(parts) if parts else np.zeros(0)
    return columns
