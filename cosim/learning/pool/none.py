"""No learning: payloads of a given size with nothing in them, for studies of the network."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.boundary import Delivery, Evaluation, Payload, TrainingReport
from cosim.learning.learner import Forecast, Learner, LearningSetting
from cosim.learning.pool.base import Pool
from cosim.units import Bits
from cosim.world.compute.base import Work

_VALUE_BITS = {"float32": 32, "float16": 16}


class NonePool(Pool):
    """Every update is `payload` large (in whole bytes), every training `flops` operations.

    `density` is what planners reckon with. Losses are nan, and nothing is evaluated.
    """

    payload_bits: Annotated[Bits, Field(ge=0)] = 8e6
    density: Annotated[float, Field(ge=0, le=1)] = 0.1
    flops: Annotated[float, Field(ge=0)] = 1e12

    def learner(self, setting: LearningSetting) -> Learner:
        """Return a learner that learns nothing; no model is loaded."""
        return NoLearner(self, setting)


class NoLearner(Learner):
    """The sizes and times of a learner, without one."""

    def __init__(self, pool: NonePool, setting: LearningSetting) -> None:
        self._pool = pool
        self._segment_bytes = setting.segment_bytes
        self._num_bytes = math.ceil(pool.payload_bits / 8)
        self._rounds: dict[int, int] = {}
        num_devices = setting.num_devices
        local, coding = setting.learning.local, setting.learning.payload
        self._work = Work(
            flops=pool.flops,
            num_parameters=8 * self._num_bytes // _VALUE_BITS[coding.dtype],
            num_samples=local.steps * local.batch,
            batch_size=local.batch,
        )
        self._forecast = Forecast(
            update_bits=np.full(num_devices, 8 * self._num_bytes),
            density=np.full(num_devices, pool.density),
            work=self._work.each(num_devices),
        )

    def begin_training(self, device: int, round: int) -> Work:
        self._rounds[device] = round
        return self._work

    def end_training(self, device: int) -> TrainingReport:
        return TrainingReport(
            device=device,
            round=self._rounds.pop(device),
            loss=math.nan,
            num_tokens=0,
            flops=self._pool.flops,
            density=self._pool.density,
        )

    def drop_training(self, device: int) -> None:
        self._rounds.pop(device, None)

    def update_payload(
        self, device: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        return self._payload("update", device, dst, round, self._num_bytes)

    def exchange_payload(self, device: int, dst: int, round: int) -> Payload | None:
        return self._payload("exchange", device, dst, round, self._num_bytes)

    def spread_payload(
        self, device: int, dst: int, round: int, received: Sequence[Delivery]
    ) -> Payload | None:
        """Pass on as many bytes as arrived."""
        num_bytes = sum(map(_arrived_bytes, received))
        return self._payload("exchange", device, dst, round, num_bytes)

    def _payload(
        self, kind: str, device: int, dst: int, round: int, num_bytes: int
    ) -> Payload | None:
        if num_bytes == 0:
            return None
        return Payload(kind, device, dst, round, num_bytes, self._segment_bytes)

    def merge(self, device: int, deliveries: Sequence[Delivery], weights: Sequence[float]) -> None:
        """Aggregate nothing."""

    def store(self, device: int, deliveries: Sequence[Delivery]) -> None:
        """Keep nothing."""

    def forecast(self) -> Forecast:
        """Every device alike."""
        return self._forecast

    def evaluate(self, devices: Sequence[int]) -> list[Evaluation]:
        return []

    def overlap(self, devices: Sequence[int]) -> float:
        """Return P1 (16) at the given density: what random masks would have."""
        density, count = self._pool.density, len(devices)
        none = (1 - density) ** count
        one = count * density * (1 - density) ** (count - 1) if count else 0.0
        return max(0.0, 1 - none - one)

    def save(self, folder: Path) -> None:
        """Write nothing."""


def _arrived_bytes(delivery: Delivery) -> int:
    payload = delivery.payload
    sizes = [payload.segment_bytes] * payload.num_packets
    if sizes:
        sizes[-1] = payload.num_bytes - payload.segment_bytes * (payload.num_packets - 1)
    return sum(size for size, arrived in zip(sizes, delivery.arrived, strict=True) if arrived)
