"""The learning half as the simulator sees it: trainings, payloads, merges, evaluations.

Devices' states live here; each call returns records of `cosim.boundary`, so the simulator never
holds a tensor or an adapter.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cosim.boundary import Delivery, Evaluation, Payload, TrainingReport
from cosim.learning.measuring import Measures
from cosim.learning.sizing import ChooseRank, Sizing
from cosim.rng import Draws
from cosim.scenario.local import Local
from cosim.world.compute.base import Work

if TYPE_CHECKING:
    from cosim.scenario.tree import Learning


@dataclass(frozen=True)
class LearningSetting:
    """What a learner is built from.

    Attributes:
        learning: the scenario's section.
        num_devices: number of devices.
        local: how each device trains.
        draws: the scenario's random numbers.
        data_root: folder that data files are looked up in.
        segment_bytes: application bytes that one packet carries.
        test_examples: how many test examples of each task a device is judged on.
        servers: devices that hold no data and never train; they are judged as if every task were
            their own.
        sends_movements: whether devices send by how much a training has moved them, and not where
            it ended; whoever merges adds that to what it then has.
        choose_rank: chooses the rank of all adapters; None for the method's own.
    """

    learning: "Learning"
    num_devices: int
    local: tuple[Local, ...]
    draws: Draws
    data_root: Path
    segment_bytes: int
    test_examples: int
    servers: frozenset[int] = frozenset()
    sends_movements: bool = False
    choose_rank: ChooseRank | None = None


@dataclass(frozen=True)
class Forecast:
    """The next local training of every device, and its update.

    Attributes:
        update_bits: application bits of the update, the mean over the receivers of the newest one;
            before the first, to a receiver that holds nothing yet; of a server's broadcast, [N].
        density: how much of what training may move the update holds, 0 to 1: a fraction of B where
            A is frozen, and else of the whole adapter, [N]; 0 of a server, which trains nothing.
        work: of the training, its numbers [N].
    """

    update_bits: NDArray[np.int64]
    density: NDArray[np.float64]
    work: Work


class Learner(ABC):
    """What the protocols talk to. Devices are numbered 0 to N - 1."""

    @abstractmethod
    def begin_training(self, device: int, round: int) -> Work:
        """Fix the inputs of a local training now; return how much work it is.

        The training may run any time until `end_training` asks for its result. One that was begun
        and not ended is given up.
        """

    @abstractmethod
    def end_training(self, device: int) -> TrainingReport:
        """Take over the result of the training that `begin_training` began.

        Raises:
            cosim.learning.errors.LearningError: the loss is not finite; the message names the
                device, the round and the last finite loss.
        """

    @abstractmethod
    def drop_training(self, device: int) -> None:
        """Forget the training that `begin_training` began: the device has left."""

    @abstractmethod
    def update_payload(
        self, device: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        """Return what `device` sends to `dst` of its own cluster; None for nothing.

        The devices of `also` can read the same bytes: for one transmission to all of them.
        """

    @abstractmethod
    def exchange_payload(self, device: int, dst: int, round: int) -> Payload | None:
        """Return what the gateway `device` sends to `dst` of another cluster."""

    @abstractmethod
    def spread_payload(
        self, device: int, dst: int, round: int, received: Sequence[Delivery]
    ) -> Payload | None:
        """Return what a gateway passes on to `dst` of its cluster of what it just stored."""

    @abstractmethod
    def broadcast_payload(
        self, server: int, dst: int, round: int, also: Sequence[int] = ()
    ) -> Payload | None:
        """Return what a server sends its client `dst`, and those of `also`; None for nothing."""

    @abstractmethod
    def adopt(self, client: int, delivery: Delivery) -> None:
        """Let a client take over what its server has sent it."""

    @abstractmethod
    def num_examples(self, device: int) -> int:
        """Return how many training examples a device holds: FedAvg's weights go by it."""

    @abstractmethod
    def merge(self, device: int, deliveries: Sequence[Delivery], weights: Sequence[float]) -> None:
        """Aggregate the updates that arrived at `device`, each with its mixing weight."""

    @abstractmethod
    def store(self, device: int, deliveries: Sequence[Delivery]) -> None:
        """Keep what arrived from other clusters without aggregating it."""

    @abstractmethod
    def forecast(self) -> Forecast:
        """Return what the next training and update of every device will be, for the planner."""

    @abstractmethod
    def sizing(self, devices: Sequence[int]) -> Sizing:
        """Return how large the next updates of some devices would be, for the controller."""

    @abstractmethod
    def set_densities(self, devices: Sequence[int], density: Sequence[float]) -> None:
        """Set how dense the updates of some devices are, each from its next training on.

        Raises:
            ValueError: the method takes no density.
        """

    @abstractmethod
    def evaluate(self, devices: Sequence[int]) -> list[Evaluation]:
        """Judge these devices' models on every task."""

    @abstractmethod
    def overlap(self, devices: Sequence[int]) -> float:
        """Return the measured collision rate of these devices.

        It is the fraction of coordinates that more than one of them trains, of B where A is
        frozen, and else of the whole adapter. Servers train none.
        """

    def watch_merges(self, watch: bool) -> None:  # noqa: B027  optional, not forgotten
        """Say whether the merges from now on are to be measured, for `measure`.

        Without a word, they are not, and nothing is noted of what is sent.
        """

    def measure(self, clusters: Sequence[Sequence[int]]) -> Mapping[int, Measures]:
        """Return what is measured of the adapters of these clusters' devices; without any, nothing.

        What is kept of earlier rounds is told since the last call.
        """
        return {}

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write every device's adapter below `folder`, in PEFT's format, for other programs."""
