"""Updates and trainings of a given size, without a model: what pools for network studies share."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.boundary import Delivery, Payload, TrainingReport
from cosim.learning.learner import Forecast, Learner, LearningSetting
from cosim.learning.payload._values import VALUE_BYTES
from cosim.learning.pool.base import Pool
from cosim.units import Bits
from cosim.world.compute.base import Work


class NominalPool(Pool):
    """The sizes of everything."""

    payload_bits: Annotated[Bits, Field(ge=0)] = 8e6
    density: Annotated[float, Field(ge=0, le=1)] = 0.1
    flops: Annotated[float, Field(ge=0)] = 1e12


class NominalLearner(Learner):
    """The sizes and times of a learner, without one.

    Attributes:
        num_samples: training examples of each device's local training; none at a server.
    """

    def __init__(self, pool: NominalPool, setting: LearningSetting) -> None:
        self._nominal = pool
        self._segment_bytes = setting.segment_bytes
        self._num_bytes = math.ceil(pool.payload_bits / 8)
        self._rounds: dict[int, int] = {}
        num_parameters = self._num_bytes // VALUE_BYTES[setting.learning.payload.dtype]
        self.num_samples = [
            0 if device in setting.servers else local.steps * local.batch
            for device, local in enumerate(setting.local)
        ]
        self._work = [
            Work(
                flops=pool.flops,
                num_parameters=num_parameters,
                num_samples=num_samples,
                batch_size=local.batch,
            )
            for local, num_samples in zip(setting.local, self.num_samples, strict=True)
        ]
        for server in setting.servers:
            self._work[server] = Work(flops=0.0, num_parameters=0, num_samples=0, batch_size=1)
        self._forecast = Forecast(
            update_bits=np.full(setting.num_devices, 8 * self._num_bytes),
            density=np.full(setting.num_devices, pool.density),
            work=Work.of(self._work),
        )

    def begin_training(self, device: int, round: int) -> Work:
        self._rounds[device] = round
        return self._work[device]

    def end_training(self, device: int) -> TrainingReport:
        return TrainingReport(
            device=device,
            round=self._rounds.pop(device),
            loss=self.train(device),
            num_tokens=0,
            flops=self._nominal.flops,
            density=self._nominal.density,
        )

    @abstractmethod
    def train(self, device: int) -> float:
        """Take over a training that ends now; return its mean loss."""

    def drop_training(self, device: int) -> None:
        self._rounds.pop(device, None)

    def update_payload(
        self, device: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        return self._payload("update", device, dst, round, self._num_bytes, self.content(device))

    def broadcast_payload(
        self, server: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        return self._payload("broadcast", server, dst, round, self._num_bytes, self.content(server))

    def exchange_payload(self, device: int, dst: int, round: int) -> Payload | None:
        return self._payload("exchange", device, dst, round, self._num_bytes, self.content(device))

    def spread_payload(
        self, device: int, dst: int, round: int, received: Sequence[Delivery]
    ) -> Payload | None:
        """Pass on as many bytes as arrived."""
        num_bytes = sum(map(arrived_bytes, received))
        return self._payload(
            "exchange", device, dst, round, num_bytes, self.passed_on(device, received)
        )

    def content(self, device: int) -> bytes:
        """Return what the body of an update is to hold; it takes no time on the air."""
        return b""

    def passed_on(self, device: int, received: Sequence[Delivery]) -> bytes:
        """Return what the body is to hold of what a gateway passes on."""
        return b""

    def _payload(
        self, kind: str, device: int, dst: int, round: int, num_bytes: int, body: bytes
    ) -> Payload | None:
        if num_bytes == 0:
            return None
        return Payload(kind, device, dst, round, num_bytes, self._segment_bytes, body)

    def num_examples(self, device: int) -> int:
        return self.num_samples[device]

    def forecast(self) -> Forecast:
        """Every device alike, but for servers."""
        return self._forecast

    def overlap(self, devices: Sequence[int]) -> float:
        """Return what random masks of the given density would have."""
        return collision_rate(self._nominal.density, len(devices))

    def save(self, folder: Path) -> None:
        """Write nothing."""


def collision_rate(density: float, count: int) -> float:
    """Return P1 (16) of `count` equal densities: what part of coordinates more than one trains."""
    none = (1 - density) ** count
    one = count * density * (1 - density) ** (count - 1) if count else 0.0
    return max(0.0, 1 - none - one)


def arrived_bytes(delivery: Delivery) -> int:
    """Return the application bytes that arrived."""
    payload = delivery.payload
    sizes = [payload.segment_bytes] * payload.num_packets
    if sizes:
        sizes[-1] = payload.num_bytes - payload.segment_bytes * (payload.num_packets - 1)
    return sum(size for size, arrived in zip(sizes, delivery.arrived, strict=True) if arrived)
