"""The learner behind a run: devices' adapters, trained by a model pool as the method says.

Trainings are lazy. `begin_training` fixes a job; the first `end_training` that asks for a result
runs every job that was begun by then, of all devices, as one batch. What a device merges while it
trains is not lost: the training's movement is added to it. What goes over the air is the business
of `payload.outbox`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cosim.boundary import Delivery, Evaluation, Payload, TrainingReport
from cosim.learning.adapter import Layout
from cosim.learning.adapter_sizes import (
    density_of,
    fixed_bits,
    num_values,
    value_bits,
    with_chosen_rank,
)
from cosim.learning.answers import Answers
from cosim.learning.batches import LocalData, longest
from cosim.learning.codes import CodeBook, shared_sample
from cosim.learning.densities import Densities
from cosim.learning.division import divide
from cosim.learning.inference.base import Codes
from cosim.learning.learner import Forecast, Learner, LearningSetting
from cosim.learning.measuring import Measures, Measuring
from cosim.learning.methods._measures import effective_rank, overlap
from cosim.learning.methods.base import (
    Arrival,
    Cohort,
    DeviceState,
    Method,
    Update,
)
from cosim.learning.model_pool import (
    ModelPool,
    TrainingJob,
    TrainingResult,
)
from cosim.learning.movements import Movements
from cosim.learning.payload.inbox import Inbox
from cosim.learning.payload.outbox import Outbox
from cosim.learning.payload.packing import Packing
from cosim.learning.ranks import pack
from cosim.learning.sizing import Sizing
from cosim.learning.starting import given_starts
from cosim.learning.trainings import Trainings
from cosim.on_disk import under
from cosim.plugin import kind_of
from cosim.world.compute.base import Work


class AdapterLearner(Learner):
    """The states of all devices, and one pool that trains and judges them.

    Args:
        setting: what the scenario asks for.
        pool: where trainings run.

    Raises:
        LearningError: the tasks, the partition or the method cannot be for this many devices.
    """

    def __init__(self, setting: LearningSetting, pool: ModelPool) -> None:
        setting = with_chosen_rank(setting, pool)
        self._setting = setting
        self._pool = pool
        self._method: Method = setting.learning.method
        self._densities = Densities(self._method)
        self._movements = Movements(self._method, setting.sends_movements)
        layout = Layout(pool.sites, self._method.rank, pool.head)
        self._cohort = Cohort(setting.draws, layout, setting.num_devices, servers=setting.servers)
        packing = Packing.of(setting, layout, pool)
        self._packing, self._outbox = packing, Outbox(packing)

        division = divide(
            setting.learning.tasks,
            setting.data_root,
            setting.draws,
            setting.num_devices,
            setting.servers,
        )
        train = [data.examples for data in division.data]
        self._data = [
            LocalData.of_server(device, len(train))
            if device in setting.servers
            else LocalData.of(device, part, train)
            for device, part in enumerate(division.shares)
        ]

        # What the model cannot read is told now, and not in the round that comes to it.
        pool.num_tokens([longest(examples) for examples in train])

        if self._method.asks_for_ranks:
            spectra = pool.input_spectra(shared_sample(train))
            ranks = None if spectra is None else tuple(map(effective_rank, spectra))
            self._cohort = replace(self._cohort, effective_ranks=ranks)

        if setting.learning.start is not None:
            folder = under(Path(), setting.learning.start)
            starts = given_starts(
                folder, self._method, layout, pool.head_start, setting.num_devices
            )
            self._cohort = replace(self._cohort, starts=starts)

        self._states = [
            self._method.start(self._cohort, device) for device in range(setting.num_devices)
        ]
        self._measuring = Measuring(self._method, self._cohort)
        self._answers = Answers(
            pool,
            self._method,
            setting.learning.inference,
            self._cohort,
            names=tuple(data.name for data in division.data),
            test=tuple(
                tuple(task.examples("test", setting.data_root))[: setting.test_examples]
                for task in division.tasks
            ),
            tasks_of={data.device: data.tasks for data in self._data},
        )
        self._codes: CodeBook | None = None
        if setting.learning.inference.asks_for_codes:
            vectors = [state.vector for state in self._states]
            own = [data.examples for data in self._data]
            self._codes = CodeBook.measured(pool, layout, vectors, own, train)
        self._inbox = Inbox(layout.size if self._codes is None else self._codes.end)
        self._trainings = Trainings(setting, pool, packing, self._cohort, self._data)
        self._jobs: dict[int, TrainingJob] = {}
        self._began: dict[int, DeviceState] = {}  # the states that they were fixed from
        self._results: dict[int, TrainingResult] = {}

    # Training

    def begin_training(self, device: int, round: int) -> Work:
        self._densities.begin(device)
        job = self._job(device, round)
        self._jobs[device], self._began[device] = job, self._states[device]
        self._results.pop(device, None)
        return self._trainings.work(job)

    def end_training(self, device: int) -> TrainingReport:
        if device not in self._jobs:
            raise ValueError(f"device {device} has begun no training")
        if device not in self._results:
            waiting = [self._jobs[d] for d in sorted(self._jobs) if d not in self._results]
            for job, result in zip(waiting, self._pool.train(waiting), strict=True):
                self._results[job.device] = result
        job, result = self._jobs.pop(device), self._results.pop(device)
        began = self._began.pop(device)
        self._trainings.ended(job, result)
        state, vector, method = self._states[device], result.vector, self._densities.of(device)
        if state is not began:  # merged meanwhile: move from there
            adapter, _ = method.training(self._cohort, state)
            moved = np.zeros(adapter.layout.size, dtype=np.float32)
            pack(job.adapter.layout, vector - job.adapter.vector, adapter.layout, moved)
            vector = adapter.vector + moved
        self._movements.begin(device, state.vector)
        self._states[device] = method.trained(self._cohort, state, vector)
        return TrainingReport(
            device=device,
            round=job.round,
            loss=math.fsum(result.losses) / len(result.losses),
            num_tokens=self._pool.num_tokens(job.batches),
            flops=float(self._trainings.work(job).flops),
            density=float(np.mean(state.trainable[method.scope(self._cohort.layout)])),
        )

    def drop_training(self, device: int) -> None:
        self._jobs.pop(device, None)
        self._began.pop(device, None)
        self._results.pop(device, None)

    def _job(self, device: int, round: int) -> TrainingJob:
        return self._trainings.next(self._densities.of(device), self._states[device], round)

    # Payloads

    def update_payload(
        self, device: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        method = self._densities.of(device)
        update = method.update(self._cohort, self._states[device], round)
        if update is not None:
            self._measuring.sent(device, update.coordinates)
            update = self._movements.sent(device, update)
        updates = () if update is None else (update,)
        drawn = self._method.draws_coordinates
        return self._payload("update", device, (dst, *also), round, updates, drawn)

    def broadcast_payload(
        self, server: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        updates = self._method.broadcast(self._cohort, self._states[server], round)
        return self._payload("broadcast", server, (dst, *also), round, updates)

    def exchange_payload(self, device: int, dst: int, round: int) -> Payload | None:
        method = self._densities.of(device)
        updates = method.exchange(self._cohort, self._states[device], round)
        drawn = self._method.draws_coordinates
        return self._payload("exchange", device, (dst,), round, updates, drawn)

    def spread_payload(
        self, device: int, dst: int, round: int, received: Sequence[Delivery]
    ) -> Payload | None:
        """Pass on what the device now knows of the adapters that it received.

        A coordinate that was lost on the way to it goes on as it was last known.
        """
        arrivals = self._arrivals(received, [0.0] * len(received))
        known = self._states[device].known
        members = dict.fromkeys(arrival.update.members for arrival in arrivals)
        updates = [known[each] for each in members if each in known]
        return self._payload("exchange", device, (dst,), round, updates)

    def _payload(
        self,
        kind: str,
        src: int,
        receivers: Sequence[int],
        round: int,
        updates: Sequence[Update],
        drawn: bool = False,
    ) -> Payload | None:
        """Return the updates as a payload, with the codes that ride along."""
        if self._codes is not None:
            updates = (*updates, *self._codes.riding(src, receivers, round, updates))
        return self._outbox.payload(kind, src, receivers, round, updates, drawn)

    def _update_bits(self, device: int) -> int:
        state, is_server = self._states[device], device in self._setting.servers
        sent = self._method.broadcast(self._cohort, state, 0) if is_server else ()
        if sent:
            return sum(
                self._outbox.expected_bits(device, update.coordinates, state.vector)
                for update in sent
            )
        coordinates = self._densities.of(device).expected(self._cohort, state)
        drawn = self._method.draws_coordinates
        bits = self._outbox.expected_bits(device, coordinates, state.vector, drawn)
        if self._codes is not None and not is_server and not self._codes.has_told(device):
            bits += self._packing.code_bits(self._codes.length)
        return bits

    # Arrivals

    def merge(self, device: int, deliveries: Sequence[Delivery], weights: Sequence[float]) -> None:
        if min(weights, default=0.0) < 0 or math.fsum(weights) > 1 + 1e-9:
            raise ValueError(f"expected weights of at least 0 and of sum at most 1, got {weights}")
        arrivals = self._arrivals(deliveries, weights)
        arrivals = self._movements.merged(arrivals, self._states[device].vector)
        before = self._states[device]
        method = self._densities.of(device)
        self._states[device] = method.merge(self._cohort, before, arrivals)
        if self._measuring.watches:
            self._measuring.merged(before, arrivals, self._states[device])

    def adopt(self, client: int, delivery: Delivery) -> None:
        arrivals, state = self._arrivals([delivery], [1.0]), self._states[client]
        method = self._densities.of(client)
        self._states[client] = method.adopt(self._cohort, state, arrivals)

    def store(self, device: int, deliveries: Sequence[Delivery]) -> None:
        arrivals = self._arrivals(deliveries, [0.0] * len(deliveries))
        self._states[device] = self._method.store(self._states[device], arrivals)

    def _arrivals(self, deliveries: Sequence[Delivery], weights: Sequence[float]) -> list[Arrival]:
        """What arrived, in an order that is not that of arrival, so that sums do not hang on it."""
        pairs = zip(deliveries, weights, strict=True)
        ordered = sorted(pairs, key=lambda pair: (pair[0].payload.src, pair[0].payload.round))
        return [arrival for pair in ordered for arrival in self._read(*pair)]

    def _read(self, delivery: Delivery, weight: float) -> list[Arrival]:
        payload, codes = delivery.payload, self._codes
        sent, arrived = self._inbox.sent(payload), self._inbox.arrived(delivery)
        if delivery.arrived.all():
            self._outbox.confirm(payload, sent.values())
        arrivals = []
        for number, update in sent.items():
            if codes is None or not codes.is_code(update):
                there = arrived.get(number, _emptied(update))
                arrivals.append(Arrival(there, update.coordinates, weight))
            elif number in arrived:
                codes.take(payload.src, payload.dst, arrived[number])
        return arrivals

    def num_examples(self, device: int) -> int:
        return len(self._data[device].examples)

    # What it comes to

    def forecast(self) -> Forecast:
        devices = range(len(self._states))
        return Forecast(
            update_bits=np.array([self._update_bits(device) for device in devices]),
            density=np.array([self._density(device) for device in devices]),
            work=Work.of([self._next_work(device) for device in devices]),
        )

    def _next_work(self, device: int) -> Work:
        if device in self._setting.servers:
            return Work(flops=0.0, num_parameters=0, num_samples=0, batch_size=1)
        return self._trainings.work(self._job(device, 0))

    def sizing(self, devices: Sequence[int]) -> Sizing:
        packing = self._packing
        is_settled = np.array([self._is_settled(device) for device in devices])
        update_bits = np.array([self._update_bits(device) for device in devices])
        works = [
            self._trainings.work_range(self._method, self._states[device]) for device in devices
        ]
        return Sizing(
            num_values=np.where(is_settled, 0.0, num_values(self._method, packing)),
            fixed_bits=np.where(is_settled, update_bits, fixed_bits(packing)),
            value_bits=value_bits(packing),
            knows_positions=self._method.draws_coordinates,
            density=np.array([self._part_sent(device) for device in devices]),
            update_bits=update_bits,
            full_work=Work.of([full for full, _ in works]),
            least_work=Work.of([least for _, least in works]),
            rank=self._method.rank,
        )

    def _is_settled(self, device: int) -> bool:
        return self._method.settles_density and self._states[device].trainings > 0

    def _part_sent(self, device: int) -> float:
        return density_of(self._densities.of(device), self._cohort, self._states[device])

    def set_densities(self, devices: Sequence[int], density: Sequence[float]) -> None:
        self._densities.set(devices, density)

    def _density(self, device: int) -> float:
        if device in self._setting.servers:  # it trains nothing that could collide
            return 0.0
        layout = self._cohort.layout
        scope = self._method.scope(layout)
        expected = self._densities.of(device).expected(self._cohort, self._states[device])
        inside = np.count_nonzero((expected >= scope.start) & (expected < scope.stop))
        return float(inside / (scope.stop - scope.start))

    def overlap(self, devices: Sequence[int]) -> float:
        scope = self._method.scope(self._cohort.layout)
        train = [device for device in devices if device not in self._setting.servers]
        return overlap([self._states[device].trainable[scope] for device in train])

    def watch_merges(self, watch: bool) -> None:
        self._measuring.watches = watch

    def measure(self, clusters: Sequence[Sequence[int]]) -> Mapping[int, Measures]:
        devices = [device for members in clusters for device in members]
        next_trainings = {
            device: self._trainings.training(self._densities.of(device), self._states[device])
            for device in devices
        }
        return self._measuring.measures(self._states, clusters, next_trainings)

    def evaluate(self, devices: Sequence[int]) -> list[Evaluation]:
        """Judge these devices' models on every task, all in one batch."""
        return self._answers.judged([self._answerer(device) for device in devices])

    def save(self, folder: Path) -> None:
        """Write what each device answers with to `folder/device-<number>`.

        Where it answers with several adapters, by task or by router, that is what the method makes
        of them as one, as with `inference: by_method`: PEFT has no such mixtures.
        """
        model = self._setting.learning.model
        name = str(getattr(model, "source", kind_of(model)))
        for device in range(self._setting.num_devices):
            self._answers.save(*self._answerer(device), folder / f"device-{device}", name)

    def _answerer(self, device: int) -> tuple[DeviceState, Codes | None]:
        codes = None if self._codes is None else self._codes.known(device)
        return self._states[device], codes


def _emptied(update: Update) -> Update:
    return replace(update, coordinates=update.coordinates[:0], values=update.values[:0])
