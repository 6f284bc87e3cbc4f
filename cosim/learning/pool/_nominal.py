"""Updates and trainings of a given size, without a model: what pools for network studies share.

The size that is given is of an update of the method's `rank` at the given density. Where a
controller sets another density, or chooses another rank, it is in proportion to both, as where
values alone are sent (P3's q n (1 - O)). What a server broadcasts follows the rank alone: no
client's density is that of what several have sent. Operations are those of all training at any
density and rank; the number of parameters that are sent, by which `compute: paper` goes, is as the
update's size.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from cosim.boundary import Delivery, Payload, TrainingReport
from cosim.collision import collision_rate
from cosim.learning.learner import Forecast, Learner, LearningSetting
from cosim.learning.payload._values import VALUE_BYTES
from cosim.learning.pool.base import Pool
from cosim.learning.sizing import Sizing, UnitSize
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
        self._value_bytes = VALUE_BYTES[setting.learning.payload.dtype]
        self._knows_rank(setting)
        self._num_bytes = math.ceil(self._payload_bits / 8)
        self._servers, self._has_merged = setting.servers, set[int]()
        self._rounds: dict[int, int] = {}
        self._set: dict[int, float] = {}  # densities, from the next trainings on
        self._in_force: dict[int, float] = {}
        self._forecast: Forecast | None = None  # of the densities in force
        num_parameters = self._num_bytes // self._value_bytes
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

    def _knows_rank(self, setting: LearningSetting) -> None:
        """Find the rank, and with it the size of an update at the pool's density."""
        given = setting.learning.method.rank
        self._rank, self._payload_bits = given, self._nominal.payload_bits
        if setting.choose_rank is not None:
            value_bits = 8.0 * self._value_bytes
            whole = self._nominal.payload_bits / self._nominal.density / value_bits
            self._rank, _ = setting.choose_rank(UnitSize(whole / given, 0.0, value_bits, True))
            self._payload_bits *= self._rank / given

    def begin_training(self, device: int, round: int) -> Work:
        self._rounds[device] = round
        if device in self._set:
            self._in_force[device], self._forecast = self._set[device], None
        return self._work_at(device, self._in_force.get(device))

    def end_training(self, device: int) -> TrainingReport:
        return TrainingReport(
            device=device,
            round=self._rounds.pop(device),
            loss=self.train(device),
            num_tokens=0,
            flops=self._nominal.flops,
            density=self.density(device),
        )

    def set_densities(self, devices: Sequence[int], density: Sequence[float]) -> None:
        self._set.update(zip(devices, density, strict=True))

    def density(self, device: int) -> float:
        """Return the density of a device's updates as it is now; a server trains nothing."""
        if device in self._servers:
            return 0.0
        return self._in_force.get(device, self._nominal.density)

    def _bytes_at(self, density: float | None) -> int:
        """Return the size of an update; that at the pool's own density if none is set."""
        if density is None:
            return self._num_bytes
        return math.ceil(self._payload_bits * (density / self._nominal.density) / 8)

    def _work_at(self, device: int, density: float | None) -> Work:
        work = self._work[device]
        if density is None:
            return work
        return replace(work, num_parameters=self._bytes_at(density) // self._value_bytes)

    def sizing(self, devices: Sequence[int]) -> Sizing:
        num = len(devices)
        whole = self._bytes_at(1.0) / self._value_bytes
        return Sizing(
            num_values=np.full(num, whole),
            fixed_bits=np.zeros(num),
            value_bits=8.0 * self._value_bytes,
            knows_positions=True,
            density=np.array([self.density(device) for device in devices]),
            update_bits=np.array([8 * self._update_bytes(device) for device in devices]),
            full_work=Work.of([self._work_at(device, 1.0) for device in devices]),
            least_work=Work.of([self._work_at(device, 0.0) for device in devices]),
            rank=self._rank,
        )

    def _update_bytes(self, device: int) -> int:
        return self._bytes_at(self._in_force.get(device))

    @abstractmethod
    def train(self, device: int) -> float:
        """Take over a training that ends now; return its mean loss."""

    def drop_training(self, device: int) -> None:
        self._rounds.pop(device, None)

    def update_payload(
        self, device: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        num_bytes = self._update_bytes(device)
        return self._payload("update", device, dst, round, num_bytes, self.content(device))

    def broadcast_payload(
        self, server: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        if server not in self._has_merged:  # what all start with
            return None
        return self._payload("broadcast", server, dst, round, self._num_bytes, self.content(server))

    def merge(self, device: int, deliveries: Sequence[Delivery], weights: Sequence[float]) -> None:
        """Note that the device has something that not all start with."""
        if any(weight > 0 for weight in weights):
            self._has_merged.add(device)

    def exchange_payload(self, device: int, dst: int, round: int) -> Payload | None:
        num_bytes = self._update_bytes(device)
        return self._payload("exchange", device, dst, round, num_bytes, self.content(device))

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
        """Every device alike, but for servers and where densities are set."""
        if self._forecast is None:
            devices = range(len(self._work))
            self._forecast = Forecast(
                update_bits=np.array([8 * self._update_bytes(device) for device in devices]),
                density=np.array([self.density(device) for device in devices]),
                work=Work.of([self._work_at(each, self._in_force.get(each)) for each in devices]),
            )
        return self._forecast

    def overlap(self, devices: Sequence[int]) -> float:
        """Return what random masks of the devices' densities would have."""
        train = [device for device in devices if device not in self._servers]
        return collision_rate([self.density(device) for device in train])

    def save(self, folder: Path) -> None:
        """Write nothing."""


def arrived_bytes(delivery: Delivery) -> int:
    """Return the application bytes that arrived."""
    payload = delivery.payload
    sizes = [payload.segment_bytes] * payload.num_packets
    if sizes:
        sizes[-1] = payload.num_bytes - payload.segment_bytes * (payload.num_packets - 1)
    return sum(size for size, arrived in zip(sizes, delivery.arrived, strict=True) if arrived)
