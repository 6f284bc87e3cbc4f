"""A method: what is trained, what is sent, how arrivals are merged, how adapters are combined.

All of it is array work on flat adapter vectors (`cosim.learning.adapter`); the pool trains what
the method says and never asks which method it is. State goes in and comes out: no method changes
an array that it was given.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.learning.adapter import Adapter, Layout, Mask, Vector
from cosim.learning.penalties import Penalty
from cosim.plugin import Plugin, kind_of
from cosim.rng import Draws

Members = tuple[int, ...]
Parts = tuple[tuple[Adapter, float], ...]  # adapters with weights
Coordinates = NDArray[np.int64]


@dataclass(frozen=True)
class Cohort:
    """What the devices of a run have in common, and can tell from its seed without sending it.

    Attributes:
        effective_ranks: of the covariance of each site's inputs in the base model, [num sites];
            None where nobody has measured them.
        starts: the vector that each device is given to start with, [layout.size] each; empty where
            they draw theirs.
        servers: devices that never train; where there are any, the others are their clients.
    """

    draws: Draws
    layout: Layout
    num_devices: int
    effective_ranks: tuple[float, ...] | None = None
    # Nothing that is drawn depends on these.
    starts: tuple[Vector, ...] = field(default=(), repr=False, compare=False)
    servers: frozenset[int] = field(default=frozenset(), compare=False)


@dataclass(frozen=True)
class Update:
    """Coordinates of an adapter: as sent, as arrived, or as remembered. Zero elsewhere.

    Attributes:
        members: the devices whose training it holds, ascending (one, unless already aggregated).
        round: the round in which it was made.
        coordinates: positions in the flat vector, ascending, int64 [k].
        values: their values, float32 [k].
    """

    members: Members
    round: int
    coordinates: Coordinates = field(repr=False)
    values: Vector = field(repr=False)

    def dense(self, layout: Layout) -> Vector:
        """Return the flat vector that the coordinates are of, [layout.size]."""
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[self.coordinates] = self.values
        return vector


@dataclass(frozen=True)
class Arrival:
    """An update at its receiver, less the coordinates of lost packets.

    Attributes:
        sent: coordinates that the sender sent; the update's coordinates are those that arrived.
        weight: mixing weight (Metropolis, times staleness weight if late).
    """

    update: Update
    sent: Coordinates = field(repr=False)
    weight: float


@dataclass(frozen=True)
class DeviceState:
    """What one device holds.

    Attributes:
        vector: its adapter, [layout.size].
        trainable: the coordinates that its local training may move, [layout.size].
        members: the devices whose updates it merged last, itself among them, ascending.
        trainings: how many local trainings it has done.
        known: adapters of others, by whose training they hold; no device is in two of them.
    """

    device: int
    vector: Vector = field(repr=False)
    trainable: Mask = field(repr=False)
    members: Members
    trainings: int = 0
    known: Mapping[Members, Update] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Expert:
    """An adapter that a device can answer with.

    Attributes:
        members: the devices whose training it holds, ascending.
        adapter: as a model of its own.
    """

    members: Members
    adapter: Adapter


def with_mean_head(answer: Adapter, experts: Sequence[Expert]) -> Adapter:
    """Return the adapter with the mean of the experts' heads, by their numbers of members.

    An output layer is no low-rank product: added up, its movements would count many times.
    """
    layout = answer.layout
    total = sum(len(expert.members) for expert in experts)
    head = np.zeros(layout.part_head.stop - layout.part_head.start)
    for expert in experts:
        own = expert.adapter
        head += len(expert.members) / total * own.vector[own.layout.part_head]
    vector = answer.vector.copy()
    vector[layout.part_head] = head
    return Adapter(layout, vector, answer.scale)


def in_order(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Return the arrivals in an order that is not that of arrival, so that sums do not hang on it.

    It goes by round, then by members. Those of which nothing arrived are left out: they change
    nothing.
    """
    kept = (arrival for arrival in arrivals if arrival.update.coordinates.size)
    return sorted(kept, key=lambda arrival: (arrival.update.round, arrival.update.members))


def remember(known: Mapping[Members, Update], arrival: Arrival) -> dict[Members, Update]:
    """Return `known` with what arrived, which replaces what is older about any of its members.

    What is older than what is known of any of its members changes nothing, nor does an arrival of
    which nothing arrived. A coordinate that was sent but lost keeps its last known value if the
    same members' adapter was known before; a second copy of the same round takes nothing away.
    """
    update = arrival.update
    overlapping = [key for key in known if not set(key).isdisjoint(update.members)]
    if not update.coordinates.size or any(known[key].round > update.round for key in overlapping):
        return dict(known)
    before = known.get(update.members)
    if before is not None:
        kept = ~np.isin(before.coordinates, update.coordinates, assume_unique=True)
        if before.round < update.round:
            kept &= np.isin(before.coordinates, arrival.sent, assume_unique=True)
        update = _joined(update, before.coordinates[kept], before.values[kept])
    others = {key: value for key, value in known.items() if key not in overlapping}
    return others | {update.members: update}


def _joined(update: Update, coordinates: Coordinates, values: Vector) -> Update:
    """Return the update with coordinates added that it does not have."""
    joined = np.concatenate([update.coordinates, coordinates])
    order = np.argsort(joined)
    both = np.concatenate([update.values, values])
    return replace(update, coordinates=joined[order], values=both[order])


def forget(known: Mapping[Members, Update], members: Members) -> dict[Members, Update]:
    """Return `known` less what holds the training of any of `members`."""
    return {key: value for key, value in known.items() if set(key).isdisjoint(members)}


def merged_members(state: DeviceState, arrivals: Sequence[Arrival]) -> Members:
    """Return the device and all whose update arrived at least in part, ascending."""
    arrived = (a.update.members for a in arrivals if a.update.coordinates.size)
    return tuple(sorted({state.device}.union(*arrived)))


class Method(Plugin):
    """Contract of family `method`."""

    # Whether adapters that devices answer with may have more ranks than `rank`.
    grows_rank: ClassVar[bool] = False
    # Whether anybody can draw the coordinates of a device's own updates and exchanges from the
    # device's number and the round, so that they need not be sent.
    draws_coordinates: ClassVar[bool] = False
    # Whether an update after a merge tells what the merge came to, so that devices can send and
    # merge several times between two trainings.
    mixes_again: ClassVar[bool] = True
    # Whether the density of a device's first training is that of all its updates.
    settles_density: ClassVar[bool] = False
    # Whether a part of what devices answer with is never sent, so that a server cannot answer.
    is_personal: ClassVar[bool] = False

    rank: Annotated[int, Field(ge=1, le=1024)] = 8
    scale: Annotated[float, Field(gt=0)] = 2.0

    @property
    def asks_for_ranks(self) -> bool:
        """Whether the cohort must know the effective ranks of the sites' inputs."""
        return False

    @property
    def has_drawn_a(self) -> bool:
        """Whether the A of every expert is frozen, and anybody can draw it from its address."""
        return False

    @property
    def movements(self) -> Literal["sends", "adds", "neither"]:
        """How a server's merge stands to movements, how far trainings have moved its clients.

        `sends`: updates to a server are movements. `adds`: a merge adds up, coordinate by
        coordinate, by how much each sender differs from the device that merges, so that movements
        can be sent in place of values. `neither`: it does something else.
        """
        return "neither"

    @property
    def takes_density(self) -> bool:
        """Whether a controller may set how much is sent, by `at_density`."""
        return self._keys_at(1.0) is not None

    def at_density(self, density: float) -> Self:
        """Return this method with updates that hold another fraction of what training may move.

        A device has it from the beginning of a training to that of the next.

        Args:
            density: above 0 and at most 1.

        Raises:
            ValueError: the method takes no density.
        """
        keys = self._keys_at(float(density))
        if keys is None:
            raise ValueError(
                "expected a method that takes a density (soft, flasc, rlora; fedlodrop, hetlora "
                "with sense: p3; lori and sparse_orthogonal one for good, as control deadline sets "
                f"it), got {kind_of(self)}"
            )
        return self.model_copy(update=keys)

    def _keys_at(self, density: float) -> dict[str, float] | None:
        """Return the keys that make a density; None if there are none."""
        return None

    def start_misfit(self) -> str | None:
        """Return why devices cannot start from adapters they are given, and what would do.

        None if they can: `start` then takes them from `Cohort.starts`.
        """
        return (
            "expected a method whose devices start from adapters that they are given, got one that "
            "draws their start; use lora, ilora, ffa_lora or another that averages, or merge the "
            "adapter into the base model (PEFT: merge_and_unload, save_pretrained) and name that "
            "as learning.model.source"
        )

    def start_in_common(self, layout: Layout) -> slice:
        """Return the coordinates in which given starts must agree, as nobody ever sends them."""
        return slice(0, 0)

    @abstractmethod
    def scope(self, layout: Layout) -> slice:
        """Return the coordinates that training may ever move: what densities are fractions of."""

    @abstractmethod
    def start(self, cohort: Cohort, device: int) -> DeviceState:
        """Return the device's state before its first training.

        Raises:
            cosim.learning.errors.LearningError: the method cannot be for this many devices.
        """

    def steps(self, state: DeviceState, local_steps: int) -> int:
        """Return the number of steps of the device's next local training."""
        return local_steps

    def training(self, cohort: Cohort, state: DeviceState) -> tuple[Adapter, Mask]:
        """Return what the device's next local training starts from, and what it may move.

        The adapter may have another rank than the layout, so that a frozen residual can be part of
        it; its mask is over its own coordinates.
        """
        return Adapter(cohort.layout, state.vector, self.scale), state.trainable

    def starts_anew(self, state: DeviceState) -> bool:
        """Return whether the next training is not of the factors that the last one moved.

        No optimiser's state is then of them.
        """
        return False

    def penalty(self) -> Penalty | None:
        """Return what local training adds to its loss; None for nothing."""
        return None

    def trained(self, cohort: Cohort, state: DeviceState, vector: Vector) -> DeviceState:
        """Return the state after a local training.

        Args:
            cohort: what the devices have in common.
            state: as it is now; it may have merged since the training began.
            vector: where the training ended, of the adapter that `training` returns of `state`:
                if the device has merged since, what it then had and the training's movement.
        """
        return replace(state, vector=vector, trainings=state.trainings + 1)

    @abstractmethod
    def update(self, cohort: Cohort, state: DeviceState, round: int) -> Update | None:
        """Return what the device sends inside its cluster after a training; None for nothing."""

    @abstractmethod
    def expected(self, cohort: Cohort, state: DeviceState) -> Coordinates:
        """Return the coordinates of the next update, for its size and density.

        Where training has yet to choose them, as many random ones.
        """

    @abstractmethod
    def merge(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Return the state after aggregating what arrived inside the cluster.

        The device's own weight is 1 less the arrivals' weights. A coordinate that was sent but
        did not arrive counts as the device's own value. `members` becomes the device and those
        whose update arrived at least in part.
        """

    @abstractmethod
    def broadcast(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Return what a server sends its clients: what it has aggregated; () for nothing.

        A server's state is that of a device that never trains. Before its first merge there is
        nothing to send, as clients start as it does. A client that adopts all of it answers as the
        server does, if it has not trained itself and has as many ranks.

        Args:
            cohort: what the devices have in common.
            state: the server's.
            round: the one that clients train in next.
        """

    @abstractmethod
    def adopt(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Return a client's state after a server's broadcast: what arrived replaces its own.

        A coordinate that was sent but did not arrive stays the client's own, and so does what no
        server is ever sent. To adopt a broadcast again changes nothing.

        Args:
            cohort: what the devices have in common.
            state: the client's.
            arrivals: of one broadcast, in the order in which it was sent; their weights mean
                nothing.
        """

    def own_adapter(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return what the device's own training and merges have come to, as a model of its own."""
        return Adapter(cohort.layout, state.vector, self.scale)

    def parts(self, cohort: Cohort, state: DeviceState, arrivals: Sequence[Arrival]) -> Parts:
        """Return the adapters whose weighted sum of products a merge that loses nothing would give.

        It is what `own_adapter` is held against after a merge of these arrivals. Each adapter is
        one that a device was sent, as it stands for that device here, or the own one.

        Args:
            cohort: what the devices have in common.
            state: before the merge.
            arrivals: what is merged.

        Returns:
            Nothing where the own adapter does not change by a merge.
        """
        return ()

    @abstractmethod
    def exchange(self, cohort: Cohort, state: DeviceState, round: int) -> tuple[Update, ...]:
        """Return what a gateway sends to another cluster, and what spreads there."""

    def store(self, state: DeviceState, arrivals: Sequence[Arrival]) -> DeviceState:
        """Return the state that also holds what arrived from other clusters, not aggregated.

        What holds a device that the own adapter answers for is left out: none counts twice.
        """
        known = dict(state.known)
        for arrival in in_order(arrivals):
            if set(self.answers_for(state)).isdisjoint(arrival.update.members):
                known = remember(known, arrival)
        return replace(state, known=known)

    def answers_for(self, state: DeviceState) -> Members:
        """Return the devices whose training the device's own adapter stands for."""
        return state.members

    @abstractmethod
    def inference(self, cohort: Cohort, state: DeviceState) -> Adapter:
        """Return the adapter that the device answers with: its own and what it knows of others."""

    def experts(self, cohort: Cohort, state: DeviceState) -> tuple[Expert, ...]:
        """Return the adapters that `inference` adds up, each as a model of its own.

        Here there is one: what the device answers with.
        """
        return (Expert(state.members, self.inference(cohort, state)),)
