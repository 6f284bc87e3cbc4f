"""The tree of a scenario: every key, its type, its default, its meaning.

Values are SI with the unit in the field's name. Each `Kind` is one of a family's kinds, found by
name. The tree knows no floor above it: kinds are typed `Any` here and narrowed where they are used.
"""

import math
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cosim.limits import (
    LOWEST_CARRIER_HZ,
    MOST_ATTEMPTS,
    MOST_DEVICES,
    WHY_LOWEST_CARRIER,
    WHY_MOST_ATTEMPTS,
    WHY_MOST_DEVICES,
    Within,
)
from cosim.on_disk import OnDisk
from cosim.plugin import Kind, Section, find
from cosim.rng import Draws
from cosim.scenario.local import Local, OwnLocal
from cosim.units import (
    Bytes,
    Dbm,
    DbmPerHertz,
    Decibels,
    Hertz,
    Joules,
    Metres,
    PerSquareKilometre,
    Seconds,
    Span,
    Watts,
)


def _default(kind: str, **keys: Any) -> Any:
    """Return a field's default: a kind with these keys, validated like a user's."""
    return Field(default={"kind": kind} | keys, validate_default=True)


Positive = Field(gt=0)
AtLeastOne = Field(ge=1)


class Radio(Section):
    """A device's radio. Defaults are those of a hand-held device (3GPP 37.885 Table 6.1.1-1).

    What it draws from the battery: `tx_power` over `amplifier_efficiency` while it sends, not
    between its turns nor while its rate is 0; `receive_power` for as long as something is on its
    way to it, turns and pauses included; `idle_power` always. A device whose flows want more than
    `tx_power` together gives each the same part of it; one that has no turn leaves its part to
    nobody. `sharing_weight` is for sharing rules with weights.
    """

    tx_power_dbm: Annotated[Dbm, Field(ge=-100, le=60)] = 23.0
    noise_figure_db: Annotated[Decibels, Field(ge=0)] = 9.0
    height_m: Annotated[Metres, Field(ge=0)] = 1.5
    amplifier_efficiency: Annotated[float, Field(ge=1e-6, le=1)] = 1.0
    receive_power_w: Annotated[Watts, Field(ge=0)] = 0.0
    idle_power_w: Annotated[Watts, Field(ge=0)] = 0.0
    sharing_weight: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0


DEFAULT_COUNT = 8
"""Devices of a group that says nothing of how many it has."""


class DeviceGroup(Section):
    """Devices of one sort. Groups are numbered on: the first group's devices are 0 to count - 1.

    Random numbers are addressed by these numbers: more devices in one group leave those of the
    groups before it as they are, and give those of the groups after it others.

    How many there are: `count`; or a number that is drawn once per seed from the Poisson law of
    mean `density` times the area; or as many as the mobility model has, such as a trace; or 8.

    `role: base_station` is of the radio: it makes a cell of the devices that hear it best. It
    holds data, trains and is judged as any device is, unless the protocol makes it the server.
    """

    group: str = "devices"
    count: Annotated[int, AtLeastOne, Within(-math.inf, MOST_DEVICES, WHY_MOST_DEVICES)] | None = (
        None
    )
    density_per_km2: Annotated[PerSquareKilometre, Positive] | None = None
    mobility: Annotated[Any, Kind("mobility")] = _default(
        "random_waypoint", speed=("1 m/s", "3 m/s"), pause=("0 s", "10 s")
    )
    role: Literal["device", "base_station"] = "device"
    radio: Radio = Radio()
    compute: Annotated[Any, Kind("compute")] = _default("flops", rate=("0.5 TFLOP/s", "2 TFLOP/s"))
    traffic: Annotated[Any, Kind("traffic")] | None = None
    local: OwnLocal = OwnLocal()
    battery_j: Annotated[Joules, Field(ge=0)] | None = None


Carrier = Within(LOWEST_CARRIER_HZ, math.inf, WHY_LOWEST_CARRIER, unit="Hz")


class Channel(Section):
    """What happens to a signal on its way.

    `range_m` bounds who can be each other's neighbour; `sample_interval_s` defaults to what the
    fading asks for.
    """

    carrier_hz: Annotated[Hertz, Positive, Carrier] = 3.5e9
    path_loss: Annotated[Any, Kind("path_loss")] = _default("log_distance", exponent=2.7)
    shadowing: Annotated[Any, Kind("shadowing")] = _default("none")
    fading: Annotated[Any, Kind("fading")] = _default("rayleigh_jakes")
    delay_profile: Annotated[Any, Kind("delay_profile")] = _default("flat")
    range_m: Annotated[Metres, Positive] = 500.0
    sample_interval_s: Annotated[Seconds, Positive] | None = None


class ResourceBlocks(Section):
    """A band in whole resource blocks of 12 subcarriers.

    `count` defaults to what 3GPP 38.101-1 Table 5.3.2-1 gives the bandwidth, or to all that fit
    where the table does not have it.
    """

    spacing_hz: Annotated[Hertz, Positive] = 15e3
    count: Annotated[int, AtLeastOne] | None = None


class Spectrum(Section):
    """The band, and who shares it.

    Each domain has the whole band: a transmitter, a cluster, or a cell (of a base station; all
    flows are one cell where there is none). With `interference: co_channel` the flows of other
    domains within `channel.range` disturb a receiver; with `none` they are kept apart by means
    that are not simulated. An interferer is heard over all of the band at its power averaged over
    its turns: where a rule has slots, over the turns that a flow has on average; also while its
    channel is too bad for it to send. Without `resource_blocks` a band can be cut anywhere. With
    `duplex: half` a device does not receive while it sends; to how many it sends at a time is
    `transport.parallel`.
    """

    bandwidth_hz: Annotated[Hertz, Positive] = 10e6
    domain: Literal["per_transmitter", "per_cluster", "per_cell"] = "per_transmitter"
    rule: Annotated[Any, Kind("rule")] = _default("equal")
    resource_blocks: ResourceBlocks | None = None
    interference: Literal["none", "co_channel"] = "none"
    duplex: Literal["full", "half"] = "full"
    noise_density_dbm_per_hz: DbmPerHertz = -174.0


class Link(Section):
    """One hop: rate and packet error, and whether a receiver combines the attempts of a packet.

    Where rate and error both have a CQI `table`, it need be given once.
    """

    rate: Annotated[Any, Kind("rate")] = _default("shannon")
    error: Annotated[Any, Kind("error")] = _default("none")
    combining: Literal["none", "chase"] = "none"

    @model_validator(mode="after")
    def _one_table(self) -> "Link":
        """A CQI table that only one of rate and error is given is that of both."""
        tables = {
            name: kind.table if "table" in kind.model_fields_set else None
            for name in ("rate", "error")
            if hasattr(kind := getattr(self, name), "table")
        }
        given = next((table for table in tables.values() if table is not None), None)
        missing = [name for name, table in tables.items() if table is None]
        if given is None or len(tables) < 2 or not missing:
            return self
        (name,) = missing
        return self.model_copy(
            update={name: getattr(self, name).model_copy(update={"table": given})}
        )


class Transport(Section):
    """How a payload becomes packets and what happens to lost ones.

    `mtu_bytes` holds header and data of one packet. With `reliable` a packet is sent up to
    `max_attempts` times in all, 8 if that is left out; with `best_effort` it is sent once. A
    transfer that is not complete `deadline_s` after its start expires.

    Lost packets are sent again at once; with `ack_delay_s` a block acknowledgement comes so long
    after all packets were sent, but not before they have arrived, and those that were lost are
    sent again then, in turn.

    `parallel` bounds how many transfers a device sends at a time; the others wait in its queue,
    first come, first served. It holds at most `queue_bytes` of payload: what comes to a full queue
    is dropped. What is sent again waits behind what asked before it, and is not dropped.
    """

    mtu_bytes: Annotated[Bytes, Positive] = 1500.0
    header_bytes: Annotated[Bytes, Field(ge=0)] = 40.0
    reliability: Literal["reliable", "best_effort"] = "reliable"
    max_attempts: (
        Annotated[int, AtLeastOne, Within(-math.inf, MOST_ATTEMPTS, WHY_MOST_ATTEMPTS)] | None
    ) = None
    deadline_s: Annotated[Seconds, Positive] = 60.0
    processing_s: Annotated[Seconds, Field(ge=0)] = 0.0
    ack_delay_s: Annotated[Seconds, Field(ge=0)] = 0.0
    parallel: Annotated[int, AtLeastOne] | None = None
    queue_bytes: Annotated[Bytes, Field(ge=0)] | None = None
    propagation: bool = True
    engine: Literal["packet_train", "per_packet"] = "packet_train"


class PayloadCoding(Section):
    """How values are coded on the air.

    `int8` has one scale a packet and rounds at random, so that values are right in the mean.
    `entropy: zlib` puts the most significant byte of each value under a Huffman code, packet by
    packet. Of updates of builtin:tiny it takes off 27 to 40 % with bfloat16, 14 to 34 % with
    float16 and 15 to 19 % with float32. With int8 it is 5 to 18 % at densities of 0.1 and less, but
    0 to 2 % above. The bytes may change with the version of zlib.

    `scale_as` puts the bits on the air that the same method would send for this architecture,
    while the scenario's model trains: each packet carries its part of the real update, and the
    rest of it is padding. Training is counted as the named architecture's too.
    """

    dtype: Literal["float32", "float16", "bfloat16", "int8"] = "float16"
    entropy: Literal["none", "zlib"] = "none"
    scale_as: Literal["qwen2.5-1.5b", "qwen2.5-3b", "vit-base", "distilbert"] | None = None


class Tasks(Section):
    """What devices learn: `builtin`, or a list of tasks, and who gets what."""

    use: (
        Literal["builtin"]
        | Annotated[tuple[Annotated[Any, Kind("task")], ...], Field(min_length=1)]
    ) = "builtin"
    partition: Annotated[Any, Kind("partition")] = _default("one_per_device")


class Learning(Section):
    """Model, data, method and where training runs.

    `start` is a folder with adapters in PEFT's format that devices start from: one for all of them,
    or `device-0`, `device-1` and so on, as a run's `adapters` has them.
    """

    model: Annotated[Any, Kind("model")] = _default("causal_lm")
    tasks: Tasks = Field(default_factory=Tasks)
    method: Annotated[Any, Kind("method")] = _default("sparse_orthogonal")
    inference: Annotated[Any, Kind("inference")] = _default("by_method")
    start: Annotated[Annotated[str, Field(min_length=1)] | None, OnDisk(in_data_root=False)] = None
    local: Local = Local()
    payload: PayloadCoding = PayloadCoding()
    pool: Annotated[Any, Kind("pool")] = _default("stacked")


USUAL_PLANNER = "agnes"
"""The planner of a scenario that names none, where its protocol says nothing else."""


class Topology(Section):
    """Who talks to whom, and when that is decided again. Any trigger that fires suffices.

    By default that is at the start, and when a device has come or gone. A `planner` that is not
    given is the protocol's usual one: agnes for clustered_dfl, k_nearest for dfl and gossip, and a
    star around the server for federated and federated_async.

    `in_flight` says what a new plan does to what is on the air. With `finish` it comes into force
    when the next round begins, and transfers go on to their end. With `abort` it is in force the
    instant it is made, and updates and exchanges on links that it lacks end there as `aborted`.
    With `migrate` likewise, and whoever has sent its update in this round sends it anew to those
    new neighbours that have not been sent it yet; a lost link's exchange waits for the next one.

    With `min_improvement` a plan does not change for little: besides what has to change, because
    devices came, went or moved out of a limit, only those parts of the network do in which

        (updates a second of the new plan) > (1 + min_improvement) (those of the one before)

    summed over a part's links, each 1 / (its sender's training time + its predicted delay).
    """

    planner: Annotated[Any, Kind("planner")] = _default(USUAL_PLANNER)
    triggers: tuple[Annotated[Any, Kind("trigger")], ...] = Field(
        default=({"kind": "on_start"}, {"kind": "on_churn"}), validate_default=True
    )
    in_flight: Literal["finish", "abort", "migrate"] = "finish"
    min_improvement: Annotated[float, Field(ge=0)] | None = None


class Evaluate(Section):
    """When, and on how many test examples of each task, every device's model is judged."""

    every: Span = Span(rounds=2)
    examples: Annotated[int, AtLeastOne] = 50


class Record(Section):
    """Tables that cost space or time.

    `measures` compares adapters with each other, and each merge before an evaluation with the sum
    of products that went into it, layer by layer.
    """

    packets: bool = False
    measures: bool = False
    positions: bool = True
    position_interval_s: Annotated[Seconds, Positive] = 1.0


class Sweep(Section):
    """Many runs from one file, for `cosim sweep`; a single run has none.

    `grid` has dotted keys of the scenario, each with a list of values as they would be written
    there (`learning.method: [lora, {kind: lori, rank: 4}]`), and is run with every combination;
    `zip` has keys whose lists go in step. `where` has mappings of keys to values or to tests
    (`in`, `not`, `at_least`, `at_most`); a combination stays if all of at least one mapping fit
    it. `seeds` is a list, or how many from the scenario's `seed` on. `plots` are figures of all
    runs together, drawn when the last is done. A value on the command line replaces the sweep's,
    too.
    """

    grid: dict[str, Any] = Field(default_factory=dict)
    zip: dict[str, Any] = Field(default_factory=dict)
    where: tuple[dict[str, Any], ...] = ()
    seeds: (
        Annotated[int, AtLeastOne]
        | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    ) = 1
    plots: tuple[Annotated[Any, Kind("figure")], ...] = ()


class Scenario(Section):
    """One run, from its seed to its figures."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")] = "scenario"
    seed: Annotated[int, Field(ge=0)] = 1
    duration: Span = Span(rounds=20)
    plugins: tuple[str, ...] = ()
    data_root: str = "."
    area: Annotated[Any, Kind("area")] = _default("disc", radius="200 m")
    devices: Annotated[tuple[DeviceGroup, ...], Field(min_length=1)] = Field(
        default_factory=lambda: (DeviceGroup(),)
    )
    channel: Channel = Field(default_factory=Channel)
    spectrum: Spectrum = Field(default_factory=Spectrum)
    link: Link = Field(default_factory=Link)
    transport: Transport = Transport()
    learning: Learning = Field(default_factory=Learning)
    topology: Topology = Field(default_factory=Topology)
    control: Annotated[Any, Kind("controller")] = _default("fixed")
    protocol: Annotated[Any, Kind("protocol")] = _default("clustered_dfl")
    evaluate: Evaluate = Evaluate()
    record: Record = Record()
    plots: tuple[Annotated[Any, Kind("figure")], ...] = ()
    sweep: Sweep | None = None

    @model_validator(mode="after")
    def _usual_planner(self) -> Self:
        """Plan as the protocol usually does, if the file does not say how."""
        kind = getattr(self.protocol, "usual_planner", USUAL_PLANNER)
        if "planner" not in self.topology.model_fields_set and kind != USUAL_PLANNER:
            planner = find("planner", kind).model_validate({})
            topology = self.topology.model_copy(update={"planner": planner})
            # A validator of a model that was made directly cannot return another.
            self.__dict__["topology"] = topology
        return self

    @cached_property
    def group_sizes(self) -> tuple[int, ...]:
        """Number of devices of each group."""
        return tuple(self._size(number, group) for number, group in enumerate(self.devices))

    def local_trainings(self) -> tuple[Local, ...]:
        """Return how each device trains.

        Raises:
            ValueError: what a group says contradicts `learning.local`.
        """
        both = (group.local.over(self.learning.local) for group in self.devices)
        pairs = zip(both, self.group_sizes, strict=True)
        return tuple(local for local, size in pairs for _ in range(size))

    @property
    def num_devices(self) -> int:
        """Number of devices in all groups."""
        return sum(self.group_sizes)

    @cached_property
    def servers(self) -> frozenset[int]:
        """Devices that hold no data and never train, as the protocol says.

        Raises:
            ValueError: the protocol asks for devices that there are not.
        """
        found: frozenset[int] = self.protocol.servers(self)
        return found

    def _size(self, number: int, group: DeviceGroup) -> int:
        if group.count is not None:
            return group.count
        if group.density_per_km2 is not None:
            mean = group.density_per_km2 * self.area.size_m2() / 1e6
            return int(Draws(self.seed).generator("group_size", number).poisson(mean))
        own: int | None = group.mobility.num_members(Path(self.data_root))
        return DEFAULT_COUNT if own is None else own
